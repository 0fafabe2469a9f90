//! What a user is told, and what never shows.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::llm::test_server::{Answer, TestServer, chat, echo, quick, request};
use crate::llm::{HttpClient, HttpConfig, ModelClient, ModelError, NoAnswer, Secret};

async fn error_of(answer: fn() -> Answer) -> (ModelError, usize) {
    let server = TestServer::start(move |_, _| answer()).await;
    let (client, _events) = server.client(|_| ()).await;
    let error = client.complete(&request(0..1)).await.remove(0).unwrap_err();
    (error, server.seen().len())
}

#[tokio::test]
async fn context_overflow_is_told_with_its_limit_and_not_repeated() {
    let (error, asked) = error_of(|| {
        let words =
            "This model's maximum context length is 4096 tokens. However, you requested 5000";
        Answer::Json(400, json!({"object": "error", "message": words, "code": 400}))
    })
    .await;
    let ModelError::ContextOverflow { limit: Some(4096), detail } = error else {
        panic!("{error}")
    };
    assert!(detail.contains("you requested 5000"));
    assert_eq!(asked, 1);
    let (error, _) = error_of(|| Answer::Text(413, "text/html", "<h1>413</h1>".into())).await;
    assert!(matches!(error, ModelError::ContextOverflow { limit: None, .. }), "{error}");
    // llama.cpp has sent it with 500, which is otherwise repeated.
    let (_, asked) = error_of(|| {
        Answer::Json(
            500,
            json!({"error": {"message": "the request exceeds the available context size"}}),
        )
    })
    .await;
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn useless_answers_are_explained() {
    type Row = (fn() -> Answer, &'static [&'static str]);
    let table: [Row; 9] = [
        (
            || Answer::Text(200, "text/html", "<html><body>Log in</body></html>".into()),
            &["HTML", "Log in"],
        ),
        (|| Answer::Text(200, "text/plain", "ok".into()), &["not a JSON object", "ok"]),
        (|| Answer::Json(200, json!({"status": "up"})), &["no `choices`"]),
        (|| Answer::Json(200, json!({"choices": []})), &["`choices` are empty"]),
        (|| Answer::Text(200, "application/json", String::new()), &["empty"]),
        (
            || Answer::Json(401, json!({"error": {"message": "bad key"}})),
            &["401: bad key (no API key was sent; set OPENAI_API_KEY)"],
        ),
        (
            || Answer::Json(404, json!({"error": {"message": "The model `m` does not exist"}})),
            &["404: The model `m` does not exist", "base URL"],
        ),
        (|| Answer::Text(403, "text/html", "<title>Denied</title>".into()), &["403: Denied"]),
        (
            || Answer::Header(307, "location", "https://other/v1".into()),
            &["307", "https://other/v1"],
        ),
    ];
    for (number, (answer, words)) in table.into_iter().enumerate() {
        let (error, asked) = error_of(answer).await;
        for part in words {
            assert!(error.to_string().contains(part), "{number}: {error}");
        }
        assert_eq!(asked, 1, "{number} was repeated");
    }
}

#[tokio::test]
async fn a_body_without_end_is_not_read_to_its_end() {
    let (error, _) =
        error_of(|| Answer::Text(200, "application/json", " ".repeat((64 << 20) + 1))).await;
    assert!(error.to_string().ends_with("larger than 64 MiB"), "{error}");
}

#[tokio::test]
async fn contents_of_every_kind_become_answers_or_none() {
    let table = [
        (json!({"content": null}), Err(NoAnswer::Empty)),
        (json!({}), Err(NoAnswer::Empty)),
        (json!({"content": " \n"}), Err(NoAnswer::Empty)),
        (json!({"content": null, "reasoning_content": "hm"}), Err(NoAnswer::NoSolution)),
        (json!({"content": "<think>hm"}), Err(NoAnswer::NoSolution)),
        (json!({"content": "x", "reasoning_content": "hm"}), Ok("x".to_owned())),
        (json!({"content": "x", "reasoning": "hm"}), Ok("x".to_owned())),
        (json!({"content": "<think>hm</think><solution>x</solution>"}), Ok("x".to_owned())),
        (json!({"content": [{"type": "text", "text": "x"}]}), Ok("x".to_owned())),
    ];
    for (message, answer) in table {
        let sent = message.clone();
        let server = TestServer::start(move |_, _| {
            let choice = json!({"index": 0, "message": sent, "finish_reason": "length"});
            Answer::Json(200, json!({"choices": [choice], "usage": null}))
        })
        .await;
        let (client, _events) = server.client(|_| ()).await;
        let completion = client.complete(&request(0..1)).await.remove(0).unwrap();
        assert_eq!(completion.answer, answer, "{message}");
        assert!(completion.truncated && !completion.journaled);
    }
}

#[tokio::test]
async fn the_key_is_sent_and_never_shown() {
    let server = TestServer::start(|_, seen| {
        let words = format!("Incorrect key: {}", seen.header("authorization"));
        Answer::Json(401, json!({"error": {"message": words}}))
    })
    .await;
    let (client, _events) =
        server.client(|config| config.api_key = Some(Secret::new("sk-very-secret"))).await;
    let error = client.complete(&request(0..1)).await.remove(0).unwrap_err();
    assert_eq!(server.seen()[0].header("authorization"), "Bearer sk-very-secret");
    for shown in [format!("{error}"), format!("{error:?}"), format!("{client:?}")] {
        assert!(!shown.contains("very-secret"), "{shown}");
    }
    assert!(error.to_string().contains("the API key was refused"), "{error}");
}

#[tokio::test]
async fn a_password_in_the_address_is_not_shown() {
    let url = "http://user:hidden@127.0.0.1:9/v1?key=hidden";
    let config = HttpConfig { max_attempts: 1, ..quick(url) };
    let client = HttpClient::new(config, Events::discard(), Default::default()).await.unwrap();
    let error = client.complete(&request(0..1)).await.remove(0).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hidden"), "{error:?}");
}

#[tokio::test]
async fn a_key_that_no_header_can_hold_is_a_setting_s_fault() {
    let config = HttpConfig { api_key: Some(Secret::new("a\nb")), ..quick("http://127.0.0.1:9") };
    let client = HttpClient::new(config, Events::discard(), Default::default()).await.unwrap();
    let error = client.complete(&request(0..1)).await.remove(0).unwrap_err();
    assert!(matches!(error, ModelError::Config { .. }), "{error}");
}

#[tokio::test]
async fn cancelling_ends_requests_waits_and_queues_at_once() {
    let server = TestServer::start(|number, _| match number {
        0 => Answer::Silence,
        _ => Answer::Header(503, "retry-after", "300".into()),
    })
    .await;
    let cancel = CancellationToken::new();
    let config = HttpConfig {
        concurrency: 2,
        max_wait: Duration::from_secs(300),
        timeout: Duration::from_secs(300),
        ..quick(&server.url)
    };
    let client = HttpClient::new(config, Events::discard(), cancel.clone()).await.unwrap();
    let started = Instant::now();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        cancel.cancel();
    });
    let answers = client.complete(&request(0..5)).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(answers.len(), 5);
    assert!(answers.iter().all(|answer| matches!(answer, Err(ModelError::Cancelled))));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn the_only_model_is_taken_and_several_are_listed() {
    for (names, wanted) in [
        (vec!["qwen"], Ok("qwen")),
        (vec!["a", "b"], Err("offers 2 models (a, b); choose one with --model")),
        (vec![], Err("offers no model")),
    ] {
        let data: Vec<_> = names.iter().map(|id| json!({"id": id, "object": "model"})).collect();
        let server = TestServer::start(move |_, seen| match seen.path.as_str() {
            "/v1/models" => Answer::Json(200, json!({"object": "list", "data": data})),
            _ => chat(&["hello"]),
        })
        .await;
        let config = HttpConfig { model: None, ..quick(&server.url) };
        let client = HttpClient::new(config, Events::discard(), Default::default()).await;
        match (client, wanted) {
            (Ok(client), Ok(name)) => {
                assert_eq!(client.model(), name);
                client.complete(&request(0..1)).await.remove(0).unwrap();
                assert_eq!(server.seen()[1].body["model"], name);
            }
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
            (client, _) => panic!("{names:?} gave {:?}", client.map(|c| c.model().to_owned())),
        }
    }
}

#[tokio::test]
async fn a_named_model_asks_nothing_beforehand() {
    let server = TestServer::start(|_, seen| echo(seen)).await;
    let (client, _events) = server.client(|_| ()).await;
    assert_eq!(client.model(), "m");
    assert!(server.seen().is_empty());
}

/// Not a test of its own: what a process without trust roots can do.
#[test]
#[ignore = "started without trust roots by the next test"]
fn without_trust_roots() {
    let Ok(url) = std::env::var("TEST_URL") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = HttpClient::new(quick(&url), Events::discard(), Default::default()).await;
        client.unwrap().complete(&request(0..1)).await.remove(0).unwrap();
        let config = quick("https://127.0.0.1:9/v1");
        let error =
            HttpClient::new(config, Events::discard(), Default::default()).await.unwrap_err();
        assert!(error.to_string().contains("SSL_CERT_FILE"), "{error}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_without_trust_roots_reaches_a_plain_address() {
    let server = TestServer::start(|_, seen| echo(seen)).await;
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "llm::http::tests::failures::without_trust_roots", "--ignored"])
        .env("TEST_URL", &server.url)
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    assert_eq!(server.seen().len(), 1);
}
