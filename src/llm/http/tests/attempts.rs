//! Which troubles are repeated, when, and how often.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::budget::Exhausted;
use crate::event::{EventKind, Events};
use crate::llm::test_server::{Answer, TestServer, chat, drain, echo, quick, request};
use crate::llm::{HttpClient, HttpConfig, ModelClient, ModelError};

async fn only(client: &HttpClient) -> Result<String, ModelError> {
    let mut answers = client.complete(&request(0..1)).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0).map(|completion| completion.answer.unwrap())
}

#[tokio::test]
async fn passing_troubles_are_repeated_until_the_answer_comes() {
    for status in [408, 409, 425, 429, 500, 502, 503, 504] {
        let server = TestServer::start(move |number, seen| match number {
            0 | 1 => Answer::Json(status, json!({"error": {"message": "later"}})),
            _ => echo(seen),
        })
        .await;
        let (client, mut events) = server.client(|_| ()).await;
        assert_eq!(only(&client).await.unwrap(), "sample 0");
        assert_eq!(client.requests_sent(), 3);
        let events = drain(&mut events);
        let [
            EventKind::ModelRetried { call, attempt: 1, wait, reason },
            EventKind::ModelRetried { attempt: 2, .. },
            EventKind::ModelReplied { sample: 0, journaled: false, usage, .. },
        ] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!((call.as_str(), usage.prompt_tokens), ("repair", 7));
        assert!(reason.starts_with(&status.to_string()), "{reason}");
        assert!(*wait > 0.0 && *wait <= 0.4);
    }
}

#[tokio::test]
async fn a_server_that_keeps_refusing_is_asked_max_attempts_times() {
    let server =
        TestServer::start(|_, _| Answer::Json(503, json!({"message": "model is loading"}))).await;
    let (client, _events) = server.client(|_| ()).await;
    let error = only(&client).await.unwrap_err();
    assert_eq!(server.seen().len(), 3);
    assert!(matches!(error, ModelError::Refused { status: 503, .. }), "{error}");
    assert!(error.to_string().ends_with("answered 503: model is loading"), "{error}");
}

#[tokio::test]
async fn lasting_refusals_are_not_repeated() {
    for status in [400, 401, 403, 404, 405, 415, 422] {
        let server =
            TestServer::start(move |_, _| Answer::Json(status, json!({"error": "no"}))).await;
        let (client, mut events) = server.client(|_| ()).await;
        let error = only(&client).await.unwrap_err();
        assert!(matches!(error, ModelError::Refused { status: s, .. } if s == status), "{error}");
        assert_eq!(server.seen().len(), 1, "{status}");
        assert!(drain(&mut events).is_empty());
    }
}

/// What goes out, and what comes to nothing.
fn asked(events: &mut tokio::sync::mpsc::UnboundedReceiver<crate::event::Event>) -> Vec<String> {
    let told = std::iter::from_fn(|| events.try_recv().ok()).map(|event| match event.kind {
        EventKind::ModelAsked { call, samples } => format!("{call} {samples}"),
        EventKind::ModelFailed { samples, reason, .. } => format!("failed {samples}: {reason}"),
        EventKind::ModelRetried { .. } => "again".to_owned(),
        EventKind::ModelReplied { sample, .. } => format!("reply {sample}"),
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[tokio::test]
async fn what_goes_out_is_told_once_and_so_is_that_it_came_to_nothing() {
    let server = TestServer::start(|number, seen| match number {
        0 => Answer::Json(503, json!({"error": "later"})),
        1 => echo(seen),
        _ => Answer::Json(401, json!({"error": "no"})),
    })
    .await;
    let (client, mut events) = server.client(|config| config.max_requests = Some(3)).await;
    only(&client).await.unwrap();
    assert_eq!(asked(&mut events), ["repair 1", "again", "reply 0"]);
    only(&client).await.unwrap_err();
    let told = asked(&mut events);
    assert_eq!((told.len(), told[0].as_str()), (2, "repair 1"), "{told:?}");
    assert!(told[1].starts_with("failed 1: ") && told[1].contains("401"), "{told:?}");
    // The budget is used up: nothing goes out.
    only(&client).await.unwrap_err();
    assert!(asked(&mut events).is_empty());
}

#[tokio::test]
async fn an_empty_account_is_no_rate_limit() {
    let server = TestServer::start(|_, _| {
        let error = json!({"message": "You exceeded your quota", "code": "insufficient_quota"});
        Answer::Json(429, json!({"error": error}))
    })
    .await;
    let (client, _events) = server.client(|_| ()).await;
    assert!(only(&client).await.unwrap_err().to_string().contains("quota"));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn retry_after_is_honoured_and_capped() {
    for (value, least, most) in [("0.2", 0.2, 8.0), ("3600", 0.4, 8.0)] {
        let server = TestServer::start(move |number, seen| match number {
            0 => Answer::Header(429, "retry-after", value.to_owned()),
            _ => echo(seen),
        })
        .await;
        let (client, mut events) = server.client(|_| ()).await;
        let started = Instant::now();
        only(&client).await.unwrap();
        let took = started.elapsed().as_secs_f64();
        assert!((least..most).contains(&took), "{value}: {took} s");
        let events = drain(&mut events);
        let EventKind::ModelRetried { wait, .. } = events[0] else { panic!("{events:?}") };
        assert!(wait >= least && wait <= 0.4, "{wait}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_is_repeated() {
    let half = r#"{"choices": [{"index": 0, "message": {"conte"#;
    for breaks in [0, 1] {
        let server = TestServer::start(move |number, seen| match (number, breaks) {
            (0, 0) => Answer::Broken,
            (0, _) => Answer::Text(200, "application/json", half.to_owned()),
            _ => echo(seen),
        })
        .await;
        let (client, mut events) = server.client(|_| ()).await;
        assert_eq!(only(&client).await.unwrap(), "sample 0");
        let events = drain(&mut events);
        let EventKind::ModelRetried { reason, .. } = &events[0] else { panic!("{events:?}") };
        assert_eq!(reason, "the answer ended in the middle");
    }
    let server = TestServer::start(|_, _| Answer::Broken).await;
    let (client, _events) = server.client(|_| ()).await;
    let error = only(&client).await.unwrap_err();
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn silence_ends_by_the_timeout() {
    let server = TestServer::start(|_, _| Answer::Silence).await;
    let (client, mut events) = server
        .client(|config| {
            config.timeout = Duration::from_millis(150);
            config.max_attempts = 2;
        })
        .await;
    let started = Instant::now();
    let error = only(&client).await.unwrap_err();
    assert!((0.3..8.0).contains(&started.elapsed().as_secs_f64()));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "no answer within 0.15 s");
    assert_eq!(drain(&mut events).len(), 1);
}

/// A listener that accepts, and says nothing at all or hangs up at once.
async fn mute(hang_up: bool) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kept = Mutex::new(Vec::new());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if hang_up {
                let _ = stream.read(&mut [0; 64]).await;
            } else {
                kept.lock().unwrap().push(stream);
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_listener_that_speaks_no_http_ends_by_the_timeout() {
    let config = HttpConfig {
        timeout: Duration::from_millis(150),
        max_attempts: 1,
        ..quick(&mute(false).await)
    };
    let client = HttpClient::new(config, Events::discard(), Default::default()).await.unwrap();
    let error = only(&client).await.unwrap_err();
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn dropped_connections_are_repeated_and_count() {
    let client =
        HttpClient::new(quick(&mute(true).await), Events::discard(), Default::default()).await;
    let client = client.unwrap();
    let error = only(&client).await.unwrap_err();
    assert!(matches!(error, ModelError::Unreachable { .. }), "{error}");
    assert_eq!(client.requests_sent(), 3);
}

#[tokio::test]
async fn a_closed_port_is_repeated_and_costs_nothing() {
    let port = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let (events, mut receiver) = Events::channel();
    let config = HttpConfig { max_requests: Some(1), ..quick(&format!("http://127.0.0.1:{port}")) };
    let client = HttpClient::new(config, events, Default::default()).await.unwrap();
    let error = only(&client).await.unwrap_err();
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}/v1/chat")), "{error}");
    let events = drain(&mut receiver);
    assert_eq!(events.len(), 2, "{events:?}");
    let EventKind::ModelRetried { reason, .. } = &events[0] else { panic!("{events:?}") };
    assert!(reason.contains("refused"), "{reason}");
    assert_eq!(client.requests_sent(), 0);
}

#[tokio::test]
async fn the_budget_counts_what_is_sent_repeats_too() {
    let server = TestServer::start(|number, seen| match number {
        0 => Answer::Header(500, "x-nothing", String::new()),
        _ => echo(seen),
    })
    .await;
    let (client, _events) = server.client(|config| config.max_requests = Some(3)).await;
    assert!(only(&client).await.is_ok());
    let twin = client.clone();
    assert!(only(&twin).await.is_ok());
    let error = only(&client).await.unwrap_err();
    assert!(matches!(error, ModelError::Budget(Exhausted::Requests { limit: 3 })), "{error}");
    assert_eq!((server.seen().len(), twin.requests_sent()), (3, 3));
}

#[tokio::test]
async fn an_error_inside_a_success_counts_by_its_code() {
    let server = TestServer::start(|number, _| match number {
        0 => Answer::Json(200, json!({"error": {"code": 503, "message": "busy"}})),
        1 => chat(&["fine"]),
        _ => Answer::Json(200, json!({"error": {"code": 402, "message": "pay"}})),
    })
    .await;
    let (client, _events) = server.client(|_| ()).await;
    assert_eq!(only(&client).await.unwrap(), "fine");
    let error = only(&client).await.unwrap_err();
    assert!(matches!(error, ModelError::Refused { status: 402, .. }), "{error}");
}
