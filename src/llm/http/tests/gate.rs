//! The gate before a real server: how many, in which order, and for how long.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::artifact::InstanceId;
use crate::budget::{Budget, Exhausted};
use crate::event::EventKind;
use crate::llm::test_server::{Answer, TestServer, drain, echo, request};
use crate::llm::{Call, ModelClient, ModelError, ModelRequest};

fn of(instance: &str, call: Call, samples: std::ops::Range<u32>) -> ModelRequest {
    ModelRequest { instance: InstanceId::new(instance).unwrap(), call, ..request(samples) }
}

/// A server that takes `latency` for an answer and refuses at once while `most` are under way.
/// Gives the number of refusals and the most requests that were ever there, refused ones included.
async fn bearing(
    most: usize,
    latency: Duration,
) -> (TestServer, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (now, refused, top) =
        (Arc::new(AtomicUsize::new(0)), Arc::default(), Arc::new(AtomicUsize::new(0)));
    let counted = (now, Arc::clone(&refused), Arc::clone(&top));
    let server = TestServer::start(move |_, seen| {
        let (now, refused, top) = &counted;
        let there = now.fetch_add(1, Ordering::SeqCst) + 1;
        top.fetch_max(there, Ordering::SeqCst);
        if there > most {
            now.fetch_sub(1, Ordering::SeqCst);
            AtomicUsize::fetch_add(refused, 1, Ordering::SeqCst);
            return Answer::Json(429, serde_json::json!({"error": {"message": "too many"}}));
        }
        let now = Arc::clone(now);
        tokio::spawn(async move {
            tokio::time::sleep(latency).await;
            now.fetch_sub(1, Ordering::SeqCst);
        });
        // A little later than the room is free again: who is answered may ask at once.
        Answer::Late(latency + Duration::from_millis(5), Box::new(echo(seen)))
    })
    .await;
    (server, refused, top)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_bears_six_requests_is_soon_asked_about_six() {
    let (server, refused, _) = bearing(6, Duration::from_millis(40)).await;
    let (client, mut events) = server
        .client(|config| {
            config.adaptive_concurrency = true;
            config.concurrency = 64;
            config.max_attempts = 8;
            config.first_wait = Duration::from_millis(60);
        })
        .await;
    let requests: Vec<_> = (0..10).map(|n| of(&format!("a__b-{n}"), Call::Repair, 0..40)).collect();
    let answers = join_all(requests.iter().map(|request| client.complete(request))).await;
    let failed: Vec<_> = answers.iter().flatten().filter_map(|a| a.as_ref().err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let refused = refused.load(Ordering::SeqCst);
    assert!((1..=60).contains(&refused), "{refused} of 400 requests were refused");
    let limits: Vec<usize> = drain(&mut events)
        .into_iter()
        .filter_map(|event| match event {
            EventKind::ModelPaced { limit, reason, .. } => {
                assert!(!reason.is_empty());
                Some(limit)
            }
            _ => None,
        })
        .collect();
    assert!(!limits.is_empty());
    let late = &limits[limits.len() / 2..];
    assert!(late.iter().all(|limit| (1..=9).contains(limit)), "{limits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn switched_off_the_limit_stays_and_no_refused_request_keeps_a_slot() {
    let (server, refused, top) = bearing(2, Duration::from_millis(30)).await;
    let (client, mut events) = server
        .client(|config| {
            config.concurrency = 4;
            config.max_attempts = 200;
            config.first_wait = Duration::from_millis(20);
            config.max_wait = Duration::from_millis(40);
        })
        .await;
    let answers = client.complete(&request(0..12)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert!(refused.load(Ordering::SeqCst) > 0);
    assert!(top.load(Ordering::SeqCst) <= 4);
    assert!(!drain(&mut events).iter().any(|e| matches!(e, EventKind::ModelPaced { .. })));
}

#[tokio::test]
async fn retry_after_holds_back_all_requests() {
    let refused_at = Arc::new(Mutex::new(None));
    let early = Arc::new(AtomicUsize::new(0));
    let (at, count) = (Arc::clone(&refused_at), Arc::clone(&early));
    let server = TestServer::start(move |number, seen| {
        if number == 0 {
            *at.lock().unwrap() = Some(Instant::now());
            return Answer::Header(429, "retry-after", "0.3".to_owned());
        }
        if at.lock().unwrap().unwrap().elapsed() < Duration::from_millis(280) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        echo(seen)
    })
    .await;
    let (client, _events) = server.client(|config| config.concurrency = 1).await;
    let answers = client.complete(&request(0..5)).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(early.load(Ordering::SeqCst), 0, "asked although the server wants to be left alone");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_refused_request_leaves_its_place_to_others_while_it_waits() {
    let server = TestServer::start(|number, seen| match number {
        0 => Answer::Json(500, serde_json::json!({"error": "later"})),
        _ => echo(seen),
    })
    .await;
    let (client, _events) = server
        .client(|config| {
            config.concurrency = 1;
            config.first_wait = Duration::from_millis(400);
        })
        .await;
    let answers = client.complete(&request(0..4)).await;
    assert!(answers.iter().all(Result::is_ok));
    let order: Vec<String> =
        server.seen().iter().map(|seen| seen.header("x-agent-sample").to_owned()).collect();
    assert_eq!(order, ["0", "1", "2", "3", "0"]);
}

#[tokio::test]
async fn samples_of_one_prompt_go_in_a_row_and_old_instances_first() {
    let server =
        TestServer::start(|_, seen| Answer::Late(Duration::from_millis(5), Box::new(echo(seen))))
            .await;
    let (client, _events) = server.client(|config| config.concurrency = 1).await;
    let old = of("a__a-1", Call::Localize, 0..2);
    client.complete(&old).await.into_iter().for_each(|answer| assert!(answer.is_ok()));
    let young = of("b__b-2", Call::Localize, 0..3);
    let (repair, scripts) = (of("a__a-1", Call::Repair, 0..3), of("a__a-1", Call::Reproduce, 0..3));
    let select = of("a__a-1", Call::SelectRegression, 0..1);
    // The young one asks first, and is not interrupted but by the one that is alone.
    tokio::join!(
        client.complete(&young),
        client.complete(&repair),
        client.complete(&scripts),
        client.complete(&select)
    );
    let asked: Vec<String> = server.seen()[2..]
        .iter()
        .map(|seen| {
            let call = seen.header("x-agent-stage");
            format!(
                "{} {call} {}",
                &seen.header("x-agent-instance")[..1],
                seen.header("x-agent-sample")
            )
        })
        .collect();
    assert_eq!(
        asked,
        [
            "b localize 0",
            "a select-regression 0",
            "b localize 1",
            "b localize 2",
            "a reproduce 0",
            "a reproduce 1",
            "a reproduce 2",
            "a repair 0",
            "a repair 1",
            "a repair 2",
        ]
    );
}

#[tokio::test]
async fn tokens_are_spent_up_to_the_limit_and_what_is_under_way_is_kept() {
    // Each answer costs 7 + 5 tokens.
    let server =
        TestServer::start(|_, seen| Answer::Late(Duration::from_millis(5), Box::new(echo(seen))))
            .await;
    let budget = Arc::new(Budget::new(Some(100), 40));
    let own = Arc::clone(&budget);
    let (client, _events) = server
        .client(|config| {
            config.concurrency = 2;
            config.budget = own;
        })
        .await;
    let answers = client.complete(&request(0..20)).await;
    let (answered, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(answered.len(), server.seen().len());
    // Two are under way at the end at most.
    assert!((5..=6).contains(&answered.len()), "{}", answered.len());
    assert_eq!(budget.spent(), 40 + 12 * answered.len() as u64);
    let reasons: BTreeSet<String> =
        refused.into_iter().map(|error| error.unwrap_err().to_string()).collect();
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), ["the limit of 100 tokens is reached"]);
}

#[tokio::test]
async fn after_the_deadline_nothing_is_sent_and_what_is_under_way_ends() {
    let budget = Arc::new(Budget::unlimited());
    let (own, late) = (Arc::clone(&budget), Arc::clone(&budget));
    let server = TestServer::start(move |number, seen| {
        if number == 1 {
            late.end(Exhausted::Deadline { at: "now".into() });
        }
        Answer::Late(Duration::from_millis(30), Box::new(echo(seen)))
    })
    .await;
    let (client, _events) = server
        .client(|config| {
            config.concurrency = 2;
            config.budget = own;
        })
        .await;
    let answers = client.complete(&request(0..6)).await;
    let late = |answer: &Result<_, ModelError>| {
        matches!(answer, Err(ModelError::Budget(Exhausted::Deadline { .. })))
    };
    assert!(answers[..2].iter().all(Result::is_ok), "{answers:?}");
    assert!(answers[2..].iter().all(late), "{answers:?}");
    assert_eq!(server.seen().len(), 2);
}
