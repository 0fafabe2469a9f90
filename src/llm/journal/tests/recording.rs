//! What is kept, in which form, and what survives a crash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::event::{EventKind, Events};
use crate::llm::test_server::{Answer, TestServer, drain, echo, quick, request};
use crate::llm::{HttpClient, Journaled, ModelClient, ModelError, ModelRequest, NoAnswer};

/// A journaled client for `url` in `dir`, with the events of its journal.
async fn journaled(
    url: &str,
    dir: &Path,
) -> (Journaled, tokio::sync::mpsc::UnboundedReceiver<crate::event::Event>) {
    let client = HttpClient::new(quick(url), Events::discard(), Default::default()).await.unwrap();
    let (events, receiver) = Events::channel();
    (Journaled::recording(Arc::new(client), dir, events), receiver)
}

fn file(dir: &Path) -> PathBuf {
    dir.join("acme__widgets-7/journal.jsonl.zst")
}

fn text(dir: &Path) -> String {
    let content = zstd::stream::decode_all(fs::File::open(file(dir)).unwrap()).unwrap();
    String::from_utf8(content).unwrap()
}

fn lines(dir: &Path) -> Vec<Value> {
    text(dir).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_type<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == name).collect()
}

async fn texts(client: &dyn ModelClient, request: &ModelRequest) -> Vec<(String, bool)> {
    let answers = client.complete(request).await.into_iter().map(Result::unwrap);
    answers.map(|c| (c.answer.unwrap(), c.journaled)).collect()
}

#[tokio::test]
async fn a_rerun_asks_nothing_and_gives_the_same() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    let (client, _events) = journaled(&server.url, dir.path()).await;
    let first = texts(&client, &request(0..3)).await;
    assert!(first.iter().all(|(_, journaled)| !journaled));
    let (again, mut events) = journaled(&server.url, dir.path()).await;
    let second = texts(&again, &request(0..5)).await;
    let expected: Vec<_> = (0..5).map(|n| (format!("sample {n}"), n < 3)).collect();
    assert_eq!(second, expected);
    assert_eq!(server.seen().len(), 5);
    let events = drain(&mut events);
    let from_journal = |event: &&EventKind| matches!(event, EventKind::ModelReplied { journaled: true, usage, .. } if usage.prompt_tokens == 7);
    assert_eq!((events.len(), events.iter().filter(from_journal).count()), (3, 3));
}

#[tokio::test]
async fn lines_have_the_documented_form_and_the_prompt_once() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    let (client, _events) = journaled(&server.url, dir.path()).await;
    texts(&client, &request(0..4)).await;
    let (other, _events) = journaled(&server.url, dir.path()).await;
    texts(&other, &request(4..6)).await;
    let lines = lines(dir.path());
    let (prompts, replies) = (of_type(&lines, "prompt"), of_type(&lines, "reply"));
    assert_eq!((prompts.len(), replies.len(), lines.len()), (1, 6, 7));
    assert!(lines.iter().all(|line| line["schema"] == 1));
    assert_eq!(prompts[0]["messages"], json!([{"role": "user", "content": "please mend it"}]));
    for reply in replies {
        assert_eq!(reply["prompt"], prompts[0]["digest"]);
        assert_eq!(reply["key"].as_str().unwrap().len(), 64);
        assert_eq!((&reply["call"], &reply["model"]), (&json!("repair"), &json!("m-2")));
        assert_eq!(reply["content"], format!("sample {}", reply["sample"]));
        assert_eq!(reply["finish_reason"], "stop");
        assert!(reply["seconds"].as_f64().unwrap() > 0.0 && reply["seed"].is_u64());
        assert_eq!(reply["usage"]["completion_tokens"], 5);
    }
}

#[tokio::test]
async fn whatever_shapes_the_answer_is_part_of_the_key() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    let (client, _events) = journaled(&server.url, dir.path()).await;
    let base = request(0..1);
    let mut other_prompt = base.clone();
    other_prompt.messages[0].content.push('!');
    let variants = [
        base.clone(),
        other_prompt,
        ModelRequest { temperature: 0.7, ..base.clone() },
        ModelRequest { max_tokens: 65, ..base.clone() },
        ModelRequest { stop: vec!["END".into()], ..base.clone() },
        ModelRequest { seed: Some(10), ..base.clone() },
        ModelRequest { seed: None, ..base.clone() },
        ModelRequest { samples: 1..2, ..base.clone() },
    ];
    for (number, variant) in variants.iter().enumerate() {
        texts(&client, variant).await;
        assert_eq!(server.seen().len(), number + 1, "variant {number} was taken for another");
    }
    for variant in &variants {
        assert!(texts(&client, variant).await[0].1);
    }
    let renamed = crate::llm::HttpConfig { model: Some("m2".into()), ..quick(&server.url) };
    let renamed = HttpClient::new(renamed, Events::discard(), Default::default()).await.unwrap();
    let renamed = Journaled::recording(Arc::new(renamed), dir.path(), Events::discard());
    assert!(!texts(&renamed, &base).await[0].1);
}

#[tokio::test]
async fn empty_answers_are_kept_and_errors_are_not() {
    let server = TestServer::start(|number, _| match number {
        0 => Answer::Json(
            200,
            json!({"choices": [{"index": 0, "message": {"content": "<think>a", "reasoning": null}}]}),
        ),
        1 => Answer::Json(400, json!({"message": "maximum context length is 10 tokens"})),
        _ => Answer::Json(401, json!({"error": "no"})),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (client, _events) = journaled(&server.url, dir.path()).await;
    for _ in 0..2 {
        let completion = client.complete(&request(0..1)).await.remove(0).unwrap();
        assert_eq!(completion.answer, Err(NoAnswer::NoSolution));
    }
    assert_eq!(server.seen().len(), 1);
    let error = client.complete(&request(1..2)).await.remove(0).unwrap_err();
    assert!(matches!(error, ModelError::ContextOverflow { .. }));
    let error = client.complete(&request(1..2)).await.remove(0).unwrap_err();
    assert!(matches!(error, ModelError::Refused { .. }));
    assert_eq!(of_type(&lines(dir.path()), "reply").len(), 1);
}

/// Three answers, each in a frame of its own, and where the frames end.
async fn three_frames(server: &TestServer, dir: &Path) -> [usize; 3] {
    let (client, _events) = journaled(&server.url, dir).await;
    let mut ends = [0; 3];
    for sample in 0..3_u32 {
        texts(&client, &request(sample..sample + 1)).await;
        ends[sample as usize] = fs::read(file(dir)).unwrap().len();
    }
    ends
}

/// Which of the first answers were there, and the notices.
async fn reread(server: &TestServer, dir: &Path, samples: u32) -> (Vec<bool>, Vec<String>) {
    let (client, mut events) = journaled(&server.url, dir).await;
    let kept = texts(&client, &request(0..samples)).await.into_iter().map(|(_, kept)| kept);
    let notice = |event| match event {
        EventKind::Notice { message } => Some(message),
        _ => None,
    };
    (kept.collect(), drain(&mut events).into_iter().filter_map(notice).collect())
}

#[tokio::test]
async fn a_torn_last_frame_is_cut() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    let ends = three_frames(&server, dir.path()).await;
    let whole = fs::read(file(dir.path())).unwrap();
    for (cut, survives) in
        [(ends[1] + 1, false), (ends[1] + 40, false), (ends[2] - 1, false), (ends[2], true)]
    {
        fs::write(file(dir.path()), &whole[..cut]).unwrap();
        let asked = server.seen().len();
        let (kept, notices) = reread(&server, dir.path(), 4).await;
        assert_eq!(kept, [true, true, survives, false]);
        assert_eq!(notices, [""; 0], "a torn frame is nothing to worry about");
        let lines = lines(dir.path());
        let counts = (of_type(&lines, "prompt").len(), of_type(&lines, "reply").len());
        assert_eq!(counts, (1, 4), "cut at {cut}");
        assert_eq!(server.seen().len(), asked + if survives { 1 } else { 2 });
    }
}

#[tokio::test]
async fn a_damaged_frame_costs_only_itself() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    let ends = three_frames(&server, dir.path()).await;
    let mut bytes = fs::read(file(dir.path())).unwrap();
    bytes[(ends[0] + ends[1]) / 2] ^= 0x10;
    fs::write(file(dir.path()), bytes).unwrap();
    let (kept, notices) = reread(&server, dir.path(), 3).await;
    assert_eq!(kept, [true, false, true]);
    let [notice] = notices.as_slice() else { panic!("{notices:?}") };
    let damaged = format!("{} damaged", ends[1] - ends[0]);
    assert!(notice.contains(&damaged) && notice.contains("journal.jsonl.zst"), "{notice}");
    let (kept, _) = reread(&server, dir.path(), 3).await;
    assert_eq!(kept, [true; 3], "what was asked again is found behind the damage");
}

#[tokio::test]
async fn a_plain_journal_is_gone_on_with() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    three_frames(&server, dir.path()).await;
    let text = text(dir.path());
    fs::remove_file(file(dir.path())).unwrap();
    let mut rows: Vec<_> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
    rows[2] = b"{\"schema\":1,\"type\":\"reply\",\"key\":\"\xff\xfe\x00".to_vec();
    rows.insert(1, b"{\"schema\":2,\"type\":\"song\"}".to_vec());
    rows.insert(1, Vec::new());
    // The last line lacks its newline, and is whole all the same.
    let plain = file(dir.path()).with_extension("");
    fs::write(&plain, rows.join(&b'\n')).unwrap();
    let before = fs::read(&plain).unwrap();
    let (kept, notices) = reread(&server, dir.path(), 3).await;
    assert_eq!(kept, [true, false, true]);
    let [notice] = notices.as_slice() else { panic!("{notices:?}") };
    assert!(notice.contains("2 unreadable"), "{notice}");
    assert_eq!(reread(&server, dir.path(), 3).await.0, [true; 3]);
    assert_eq!(fs::read(&plain).unwrap(), before, "only the packed file is written");
    let packed = lines(dir.path());
    let counts = (of_type(&packed, "prompt").len(), of_type(&packed, "reply").len());
    assert_eq!(counts, (0, 1), "the prompt stands in the plain file already");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_arrives_together_is_written_together() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    let (client, _events) = journaled(&server.url, dir.path()).await;
    texts(&client, &request(0..200)).await;
    let replies = of_type(&lines(dir.path()), "reply").len();
    let frames = crate::llm::journal::packed::scan(&fs::read(file(dir.path())).unwrap()).frames;
    assert_eq!(replies, 200);
    assert!(frames.len() < 200, "{} frames", frames.len());
}

#[tokio::test]
async fn a_sample_asked_twice_at_once_is_paid_once() {
    let server =
        TestServer::start(|_, seen| Answer::Late(Duration::from_millis(100), Box::new(echo(seen))))
            .await;
    let dir = tempfile::tempdir().unwrap();
    let (client, _events) = journaled(&server.url, dir.path()).await;
    let requests = [request(0..4), request(0..4), request(2..6)];
    let [a, b, c] = &requests;
    let (a, b, c) = tokio::join!(texts(&client, a), texts(&client, b), texts(&client, c));
    assert_eq!(server.seen().len(), 6);
    assert_eq!(a.iter().chain(&b).chain(&c).filter(|(_, journaled)| !journaled).count(), 6);
    assert_eq!(
        a.iter().map(|(text, _)| text).collect::<Vec<_>>(),
        b.iter().map(|(text, _)| text).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn who_waits_for_another_s_answer_asks_when_that_one_gives_up() {
    let server = TestServer::start(|number, seen| match number {
        0 => Answer::Silence,
        _ => echo(seen),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let (client, _events) = journaled(&server.url, dir.path()).await;
    let wanted = request(0..1);
    let gives_up = tokio::time::timeout(Duration::from_millis(100), client.complete(&wanted));
    let patient = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        texts(&client, &wanted).await
    };
    let (gave_up, answer) = tokio::join!(gives_up, patient);
    assert!(gave_up.is_err());
    assert_eq!(answer, [("sample 0".to_owned(), false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_writers_of_one_file_lose_nothing_and_learn_from_each_other() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    let (one, _events) = journaled(&server.url, dir.path()).await;
    let (other, _events) = journaled(&server.url, dir.path()).await;
    let (even, odd) = (request(0..20), request(20..40));
    tokio::join!(texts(&one, &even), texts(&other, &odd));
    let lines = lines(dir.path());
    assert_eq!((of_type(&lines, "prompt").len(), of_type(&lines, "reply").len()), (1, 40));
    let answers = texts(&one, &request(0..40)).await;
    assert!(answers.iter().all(|(_, journaled)| *journaled));
    assert_eq!(server.seen().len(), 40);
}

#[tokio::test]
async fn a_journal_that_cannot_be_written_is_an_error_that_names_it() {
    let (server, dir) =
        (TestServer::start(|_, seen| echo(seen)).await, tempfile::tempdir().unwrap());
    fs::write(dir.path().join("acme__widgets-7"), "a file where the folder should be").unwrap();
    let (client, _events) = journaled(&server.url, dir.path()).await;
    let error = client.complete(&request(0..1)).await.remove(0).unwrap_err();
    let ModelError::Journal { path, .. } = &error else { panic!("{error}") };
    assert!(path.ends_with("acme__widgets-7/journal.jsonl.zst"), "{error}");
}

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "started and killed by a_killed_process_loses_only_what_was_under_way"]
fn killed_in_the_middle() {
    let (Ok(url), Ok(dir)) = (std::env::var("TEST_URL"), std::env::var("TEST_DIR")) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = crate::llm::HttpConfig { concurrency: 4, ..quick(&url) };
        let client = HttpClient::new(config, Events::discard(), Default::default()).await.unwrap();
        let client = Journaled::recording(Arc::new(client), Path::new(&dir), Events::discard());
        client.complete(&request(0..40)).await;
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_only_what_was_under_way() {
    let server = TestServer::start(|number, seen| {
        Answer::Late(Duration::from_millis(10 + number as u64 % 7), Box::new(echo(seen)))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "llm::journal::tests::recording::killed_in_the_middle", "--ignored"])
        .env("TEST_URL", &server.url)
        .env("TEST_DIR", dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while server.seen().len() < 18 {
        assert_eq!(child.try_wait().unwrap(), None, "the child ended early");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = server.seen().len();
    let (client, _events) = journaled(&server.url, dir.path()).await;
    let answers = texts(&client, &request(0..40)).await;
    let kept = answers.iter().filter(|(_, journaled)| *journaled).count();
    assert_eq!(answers.len(), 40);
    assert!(kept < 40, "the child was not killed in the middle");
    // Four were under way; as many may have been answered but not yet written.
    assert!(kept + 8 >= before, "{before} asked before the kill, {kept} kept");
    assert_eq!(server.seen().len(), before + 40 - kept);
}
