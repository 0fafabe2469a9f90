//! Many samples of one prompt: headers, seeds, `n` and its fallback, limits side by side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::event::EventKind;
use crate::llm::test_server::{Answer, Seen, TestServer, chat, drain, echo, request};
use crate::llm::{Call, ModelClient, ModelError, sample_seed};

async fn answers(server: &TestServer, n: u32, samples: std::ops::Range<u32>) -> Vec<String> {
    let (client, _events) = server.client(|config| config.n_per_request = n).await;
    let completions = client.complete(&request(samples.clone())).await;
    let indices: Vec<_> = completions.iter().map(|c| c.as_ref().unwrap().sample).collect();
    assert_eq!(indices, samples.collect::<Vec<_>>());
    completions.into_iter().map(|c| c.unwrap().answer.unwrap()).collect()
}

fn sample_headers(server: &TestServer) -> Vec<String> {
    let mut headers: Vec<_> =
        server.seen().iter().map(|seen| seen.header("x-agent-sample").to_owned()).collect();
    headers.sort();
    headers
}

/// As many choices as asked for, each naming the first sample and its own place.
fn several(seen: &Seen) -> Answer {
    let first = seen.header("x-agent-sample").split('-').next().unwrap();
    let count = usize::try_from(seen.body["n"].as_u64().unwrap_or(1)).unwrap();
    let texts: Vec<_> = (0..count).map(|place| format!("{first}+{place}")).collect();
    chat(&texts.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn single_requests_carry_headers_seeds_and_come_back_in_order() {
    // The later the sample, the earlier its answer.
    let server = TestServer::start(|_, seen| {
        let sample: u64 = seen.header("x-agent-sample").parse().unwrap();
        Answer::Late(Duration::from_millis(60 - 10 * sample), Box::new(echo(seen)))
    })
    .await;
    let texts = answers(&server, 1, 2..6).await;
    assert_eq!(texts, ["sample 2", "sample 3", "sample 4", "sample 5"]);
    for seen in server.seen() {
        assert_eq!(seen.path, "/v1/chat/completions");
        assert_eq!(seen.header("x-agent-instance"), "acme__widgets-7");
        assert_eq!(seen.header("x-agent-stage"), "repair");
        let sample: u32 = seen.header("x-agent-sample").parse().unwrap();
        assert_eq!(seen.body["seed"], sample_seed(9, Call::Repair, sample));
        assert_eq!(seen.body["messages"][0]["content"], "please mend it");
        assert!(seen.body.get("n").is_none());
    }
}

#[tokio::test]
async fn n_asks_for_several_in_one_request() {
    let server = TestServer::start(|_, seen| several(seen)).await;
    let texts = answers(&server, 4, 0..10).await;
    assert_eq!(texts, ["0+0", "0+1", "0+2", "0+3", "4+0", "4+1", "4+2", "4+3", "8+0", "8+1"]);
    assert_eq!(sample_headers(&server), ["0-3", "4-7", "8-9"]);
    let first = server.seen().into_iter().find(|seen| seen.header("x-agent-sample") == "0-3");
    assert_eq!(first.unwrap().body["seed"], sample_seed(9, Call::Repair, 0));
}

#[tokio::test]
async fn fewer_choices_than_asked_are_kept_and_the_rest_asked_singly() {
    let server = TestServer::start(|_, seen| match seen.body["n"].as_u64() {
        Some(_) => chat(&["one", "two"]),
        None => echo(seen),
    })
    .await;
    assert_eq!(answers(&server, 4, 0..4).await, ["one", "two", "sample 2", "sample 3"]);
    assert_eq!(sample_headers(&server), ["0-3", "2", "3"]);
}

#[tokio::test]
async fn more_choices_than_asked_are_ignored() {
    let server = TestServer::start(|_, _| chat(&["one", "two", "three"])).await;
    assert_eq!(answers(&server, 2, 0..2).await, ["one", "two"]);
}

#[tokio::test]
async fn a_server_that_refuses_n_is_asked_singly_from_then_on() {
    let server = TestServer::start(|_, seen| match seen.body["n"].as_u64() {
        Some(_) => Answer::Json(400, json!({"error": {"message": "'n' must be at most 1"}})),
        None => echo(seen),
    })
    .await;
    let (client, mut events) = server.client(|config| config.n_per_request = 3).await;
    for _ in 0..2 {
        let completions = client.complete(&request(0..3)).await;
        let texts: Vec<_> = completions.into_iter().map(|c| c.unwrap().answer.unwrap()).collect();
        assert_eq!(texts, ["sample 0", "sample 1", "sample 2"]);
    }
    assert_eq!(server.seen().len(), 1 + 3 + 3);
    let notices = drain(&mut events).into_iter().filter(|e| matches!(e, EventKind::Notice { .. }));
    assert_eq!(notices.count(), 1);
}

#[tokio::test]
async fn a_refusal_for_another_reason_costs_one_more_request() {
    let server =
        TestServer::start(|_, _| Answer::Json(400, json!({"error": "bad template"}))).await;
    let (client, _events) = server.client(|config| config.n_per_request = 8).await;
    let answers = client.complete(&request(0..8)).await;
    assert_eq!(answers.len(), 8);
    assert!(answers.iter().all(|a| matches!(a, Err(ModelError::Refused { status: 400, .. }))));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn never_more_requests_at_once_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counted = (now.clone(), most.clone());
    let server = TestServer::start(move |_, seen| {
        let (now, most) = &counted;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let after = now.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(15)).await;
            after.fetch_sub(1, Ordering::SeqCst);
        });
        Answer::Late(Duration::from_millis(25), Box::new(echo(seen)))
    })
    .await;
    let (client, _events) = server.client(|config| config.concurrency = 3).await;
    let twin = client.clone();
    let (one, other) = (request(0..6), request(6..12));
    let (one, other) = tokio::join!(client.complete(&one), twin.complete(&other));
    assert!(one.iter().chain(&other).all(Result::is_ok));
    assert_eq!(most.load(Ordering::SeqCst), 3);
}
