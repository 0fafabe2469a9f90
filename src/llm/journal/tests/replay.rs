//! Answers without a network.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use crate::artifact::InstanceId;
use crate::event::{EventKind, Events};
use crate::llm::test_server::{TestServer, drain, echo, quick, request};
use crate::llm::{
    Call, HttpClient, Journaled, ModelClient, ModelError, ModelRequest, NoAnswer, Replay,
};

const BY_HAND: &str = r#"{"schema":1,"type":"reply","call":"repair","sample":0,"content":"zero"}
{"schema":1,"type":"reply","call":"repair","sample":1,"content":null}
{"schema":1,"type":"reply","call":"localize","sample":0,"content":"a.py","finish_reason":"length"}"#;

async fn recorded(requests: &[ModelRequest]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(|_, seen| echo(seen)).await;
    let client = HttpClient::new(quick(&server.url), Events::discard(), Default::default()).await;
    let client = Journaled::recording(Arc::new(client.unwrap()), dir.path(), Events::discard());
    for request in requests {
        assert!(client.complete(request).await.iter().all(Result::is_ok));
    }
    dir
}

async fn texts(replay: &Replay, request: &ModelRequest) -> Vec<String> {
    let answers = replay.complete(request).await.into_iter().map(Result::unwrap);
    answers.map(|c| c.answer.unwrap()).collect()
}

fn notices(events: &[EventKind]) -> usize {
    events.iter().filter(|event| matches!(event, EventKind::Notice { .. })).count()
}

#[tokio::test]
async fn a_run_directory_replays_by_key_without_a_word() {
    let dir = recorded(&[request(0..3)]).await;
    let (events, mut receiver) = Events::channel();
    let replay = Replay::new(&[dir.path().to_owned()], events).unwrap();
    assert_eq!(replay.model(), "m-2");
    assert_eq!(texts(&replay, &request(0..3)).await, ["sample 0", "sample 1", "sample 2"]);
    let events = drain(&mut receiver);
    assert_eq!((events.len(), notices(&events)), (3, 0));
    let error = replay.complete(&request(3..4)).await.remove(0).unwrap_err();
    assert_eq!(error.to_string(), "no recorded reply for repair sample 3 of acme__widgets-7");
}

#[tokio::test]
async fn another_prompt_gets_the_sample_s_reply_and_one_notice() {
    let dir = recorded(&[request(0..3)]).await;
    let (events, mut receiver) = Events::channel();
    let replay = Replay::new(&[dir.path().to_owned()], events).unwrap();
    let mut changed = request(0..3);
    changed.messages[0].content.push_str(" now");
    assert_eq!(texts(&replay, &changed).await, ["sample 0", "sample 1", "sample 2"]);
    assert_eq!(texts(&replay, &changed).await.len(), 3);
    assert_eq!(notices(&drain(&mut receiver)), 1);
    // Another seed alone is no other prompt.
    let (events, mut receiver) = Events::channel();
    let replay = Replay::new(&[dir.path().to_owned()], events).unwrap();
    let reseeded = ModelRequest { seed: Some(77), ..request(0..3) };
    assert_eq!(texts(&replay, &reseeded).await.len(), 3);
    assert_eq!(notices(&drain(&mut receiver)), 0);
}

#[tokio::test]
async fn of_several_replies_to_one_sample_the_one_to_this_prompt_counts() {
    let mut long = request(0..1);
    long.messages[0].content.push_str(" with more context");
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(|_, seen| {
        let prompt = seen.body["messages"][0]["content"].as_str().unwrap();
        crate::llm::test_server::chat(&[&format!("answer to {prompt:?}")])
    })
    .await;
    let client = HttpClient::new(quick(&server.url), Events::discard(), Default::default()).await;
    let client = Journaled::recording(Arc::new(client.unwrap()), dir.path(), Events::discard());
    client.complete(&request(0..1)).await.remove(0).unwrap();
    client.complete(&long).await.remove(0).unwrap();
    let replay = Replay::new(&[dir.path().to_owned()], Events::discard()).unwrap();
    // A new seed makes both keys miss.
    let first = ModelRequest { seed: None, ..request(0..1) };
    let second = ModelRequest { seed: None, ..long };
    assert_eq!(texts(&replay, &first).await, ["answer to \"please mend it\""]);
    assert_eq!(texts(&replay, &second).await, ["answer to \"please mend it with more context\""]);
}

#[tokio::test]
async fn recordings_by_hand_need_only_call_sample_and_content() {
    let (events, mut receiver) = Events::channel();
    let wanted = request(0..2);
    let replay = Replay::from_lines(&wanted.instance, BY_HAND, events).unwrap();
    assert_eq!(replay.model(), "recorded");
    let answers = replay.complete(&wanted).await;
    let zero = answers[0].as_ref().unwrap();
    assert_eq!((zero.answer.as_deref(), zero.journaled), (Ok("zero"), true));
    assert_eq!(answers[1].as_ref().unwrap().answer, Err(NoAnswer::Empty));
    let localize = ModelRequest { call: Call::Localize, samples: 0..1, ..wanted.clone() };
    let located = replay.complete(&localize).await.remove(0).unwrap();
    assert!(located.truncated);
    assert_eq!(notices(&drain(&mut receiver)), 0);
    let elsewhere = ModelRequest { instance: InstanceId::new("other-1").unwrap(), ..wanted };
    let error = replay.complete(&elsewhere).await.remove(0).unwrap_err();
    assert!(matches!(error, ModelError::NotRecorded { .. }), "{error}");
    let replay = replay.and_lines(&elsewhere.instance, BY_HAND).unwrap();
    assert!(replay.complete(&elsewhere).await[0].is_ok());
}

#[tokio::test]
async fn single_files_name_their_instance_and_an_only_one_serves_all() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| -> PathBuf {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, BY_HAND.replace("zero", content)).unwrap();
        path
    };
    let paths =
        [write("acme__widgets-7.jsonl", "seven"), write("acme__widgets-8/journal.jsonl", "eight")];
    let eight =
        ModelRequest { instance: InstanceId::new("acme__widgets-8").unwrap(), ..request(0..1) };
    let both = Replay::new(&paths, Events::discard()).unwrap();
    assert_eq!(texts(&both, &request(0..1)).await, ["seven"]);
    assert_eq!(texts(&both, &eight).await, ["eight"]);
    let one = Replay::new(&paths[..1], Events::discard()).unwrap();
    assert_eq!(texts(&one, &eight).await, ["seven"]);
}

#[test]
fn what_cannot_be_replayed_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let not_a_journal = dir.path().join("notes.txt");
    fs::write(&not_a_journal, "hello\n").unwrap();
    for (path, words) in [
        (dir.path().join("missing"), "missing"),
        (dir.path().to_owned(), "journal"),
        (not_a_journal, "notes.txt"),
    ] {
        let error = Replay::new(&[path], Events::discard()).unwrap_err();
        assert!(matches!(error, ModelError::Journal { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(Replay::new(&[], Events::discard()).is_err());
    let instance = InstanceId::new("a-1").unwrap();
    for text in ["", "not a line\n"] {
        assert!(Replay::from_lines(&instance, text, Events::discard()).is_err(), "{text:?}");
    }
}
