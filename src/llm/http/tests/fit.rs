//! Servers that lack something, and how requests are fitted to them.

use serde_json::{Value, json};

use crate::event::EventKind;
use crate::llm::test_server::{Answer, Ending, Seen, TestServer, chat, drain, echo, request};
use crate::llm::{Completion, HttpConfig, ModelClient, ModelError, ModelRequest, Streaming};

type Answers = Vec<Result<Completion, ModelError>>;

/// Answers to `rounds` requests, one after the other, and the notices of all.
async fn asked(
    server: &TestServer,
    rounds: u32,
    request: impl Fn(u32) -> ModelRequest,
    change: impl FnOnce(&mut HttpConfig),
) -> (Answers, Vec<String>) {
    let (client, mut events) = server.client(change).await;
    let mut answers = Vec::new();
    for round in 0..rounds {
        answers.extend(client.complete(&request(round)).await);
    }
    let notices = drain(&mut events).into_iter().filter_map(|kind| match kind {
        EventKind::Notice { message } => Some(message),
        _ => None,
    });
    (answers, notices.collect())
}

fn stopping(round: u32) -> ModelRequest {
    ModelRequest { stop: vec!["END".into()], ..request(round..round + 1) }
}

fn texts(answers: Answers) -> Vec<String> {
    answers.into_iter().map(|answer| answer.unwrap().answer.unwrap()).collect()
}

fn refused(words: &str) -> Answer {
    Answer::Json(400, json!({"error": {"message": words, "type": "invalid_request_error"}}))
}

/// A streamed answer in two parts, with usage if the request asks for it.
fn streamed(seen: &Seen) -> Answer {
    let sample = seen.header("x-agent-sample");
    let part = |delta: Value, reason: Value| json!({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]});
    let mut events = vec![
        part(json!({"role": "assistant", "content": "sample "}), Value::Null),
        part(json!({"content": sample}), json!("stop")),
    ];
    if seen.body["stream_options"]["include_usage"] == true {
        events.push(json!({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}));
    }
    let packets = events.iter().map(|event| format!("data: {event}\n\n").into_bytes());
    let done = std::iter::once(b"data: [DONE]\n\n".to_vec());
    Answer::Packets(packets.chain(done).collect(), Ending::Closed)
}

#[tokio::test]
async fn fields_that_the_server_refuses_are_left_out_from_then_on() {
    type Row = (&'static str, &'static str, &'static str);
    let table: [Row; 4] = [
        ("seed", "Unrecognized request argument supplied: seed", "takes no `seed`"),
        ("stop", "`stop` is not supported by this model", "takes no `stop`"),
        (
            "max_tokens",
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            "`max_completion_tokens` in place of",
        ),
        ("seed", r#"[{"type":"extra_forbidden","loc":["body","seed"]}]"#, "takes no `seed`"),
    ];
    for (field, words, notice) in table {
        let server = TestServer::start(move |_, seen| match seen.body.get(field) {
            Some(_) => refused(words),
            None => chat(&["text END of it"]),
        })
        .await;
        let (answers, notices) = asked(&server, 3, stopping, |_| ()).await;
        assert_eq!(texts(answers), ["text "; 3], "{field}");
        assert_eq!(server.seen().len(), 4, "{field}: found out once");
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains(notice), "{notices:?}");
        let last = server.seen().pop().unwrap().body;
        let fields = ["seed", "stop", "max_tokens"].into_iter().filter(|name| *name != field);
        assert!(fields.clone().all(|name| last.get(name).is_some()), "{last}");
        assert_eq!(last.get("max_completion_tokens").is_some(), field == "max_tokens");
    }
}

#[tokio::test]
async fn several_lacks_are_found_out_one_after_the_other() {
    let server = TestServer::start(|_, seen| {
        let lacks = ["seed", "stop", "max_tokens", "max_completion_tokens"];
        match lacks.into_iter().find(|name| seen.body.get(*name).is_some()) {
            Some(name) => refused(&format!("unknown field `{name}`")),
            None => echo(seen),
        }
    })
    .await;
    let (answers, notices) = asked(&server, 2, stopping, |_| ()).await;
    assert_eq!(texts(answers), ["sample 0", "sample 1"]);
    assert_eq!(server.seen().len(), 6);
    assert_eq!(notices.len(), 3, "{notices:?}");
    assert!(notices[2].contains("no bound of an answer's tokens"), "{notices:?}");
}

#[tokio::test]
async fn words_that_only_sound_like_it_change_nothing() {
    let server = TestServer::start(|_, _| refused("the seed of this trouble is elsewhere")).await;
    let (answers, notices) = asked(&server, 2, stopping, |_| ()).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert!(error.to_string().contains("the seed of this trouble"), "{error}");
    }
    let bodies = server.seen();
    assert_eq!(bodies.len(), 4, "each request tries once without it");
    assert!(bodies[2].body.get("seed").is_some(), "what did not help is not remembered");
    assert_eq!(notices, [""; 0]);
}

#[tokio::test]
async fn a_refused_n_does_not_cost_the_seed() {
    let server = TestServer::start(|_, seen| match seen.body.get("n") {
        Some(_) => refused("n must be 1 if a seed is given"),
        None => echo(seen),
    })
    .await;
    let (answers, notices) = asked(&server, 1, |_| request(0..3), |c| c.n_per_request = 3).await;
    assert_eq!(texts(answers), ["sample 0", "sample 1", "sample 2"]);
    assert!(server.seen().iter().all(|seen| seen.body.get("seed").is_some()));
    assert_eq!(notices.len(), 1, "{notices:?}");
}

#[tokio::test]
async fn answers_are_streamed_if_the_settings_say_so() {
    let server = TestServer::start(|_, seen| streamed(seen)).await;
    let (answers, notices) =
        asked(&server, 2, |n| request(n..n + 1), |c| c.stream = Streaming::On).await;
    assert_eq!(answers[0].as_ref().unwrap().usage.prompt_tokens, 7);
    assert_eq!(texts(answers), ["sample 0", "sample 1"]);
    assert!(server.seen().iter().all(|seen| seen.body["stream"] == true));
    assert_eq!(notices, [""; 0]);
}

#[tokio::test]
async fn without_stream_options_tokens_are_counted_here() {
    let server = TestServer::start(|_, seen| match seen.body.get("stream_options") {
        Some(_) => refused("Unknown parameter: 'stream_options'"),
        None => streamed(seen),
    })
    .await;
    let (answers, notices) =
        asked(&server, 2, |n| request(n..n + 1), |c| c.stream = Streaming::On).await;
    let usage = answers[1].as_ref().unwrap().usage;
    // "please mend it" and "sample 1" by the estimate.
    assert_eq!((usage.prompt_tokens, usage.completion_tokens), (5, 3));
    assert_eq!(texts(answers), ["sample 0", "sample 1"]);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[1].contains("are estimated here"), "{notices:?}");
}

#[tokio::test]
async fn a_server_that_only_streams_is_asked_for_streams() {
    let server = TestServer::start(|_, seen| match seen.body["stream"].as_bool() {
        Some(true) => streamed(seen),
        _ => refused("this model supports streaming only; set stream=true"),
    })
    .await;
    let (answers, notices) = asked(&server, 2, |n| request(n..n + 1), |_| ()).await;
    assert_eq!(texts(answers), ["sample 0", "sample 1"]);
    assert_eq!(server.seen().len(), 3);
    assert!(notices[0].contains("streamed from now on"), "{notices:?}");
    let (answers, _) =
        asked(&server, 1, |n| request(n..n + 1), |c| c.stream = Streaming::Off).await;
    assert!(answers[0].as_ref().unwrap_err().to_string().contains("streaming only"));
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_asked_for_whole_answers() {
    let server = TestServer::start(|_, seen| match seen.body["stream"].as_bool() {
        Some(true) => Answer::Json(501, json!({"error": "streaming is not implemented"})),
        _ => echo(seen),
    })
    .await;
    let (answers, notices) = asked(
        &server,
        2,
        |n| request(n..n + 1),
        |c| {
            c.stream = Streaming::On;
            c.max_attempts = 1;
        },
    )
    .await;
    assert_eq!(texts(answers), ["sample 0", "sample 1"]);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(notices.len(), 1, "{notices:?}");
}

#[tokio::test]
async fn a_stream_that_was_not_asked_for_is_read() {
    let server = TestServer::start(|_, seen| streamed(seen)).await;
    let (answers, _) = asked(&server, 1, |_| request(0..1), |_| ()).await;
    assert_eq!(texts(answers), ["sample 0"]);
    assert_eq!(server.seen()[0].body["stream"], false);
}

#[tokio::test]
async fn a_gateway_that_gives_up_on_whole_answers_is_asked_for_streams() {
    for status in [504, 524] {
        let server = TestServer::start(move |_, seen| match seen.body["stream"].as_bool() {
            Some(true) => streamed(seen),
            _ => Answer::Text(status, "text/html", "<h1>Gateway Time-out</h1>".into()),
        })
        .await;
        let (answers, notices) = asked(&server, 2, |n| request(n..n + 1), |_| ()).await;
        assert_eq!(texts(answers), ["sample 0", "sample 1"]);
        assert_eq!(server.seen().len(), 3);
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains("gave up waiting"), "{notices:?}");
    }
}

#[tokio::test]
async fn packets_may_end_anywhere_and_connections_stay_open() {
    let server = TestServer::start(|_, _| {
        let choice =
            json!({"choices": [{"delta": {"content": "naïve — é"}, "finish_reason": "stop"}]});
        let body = format!(": ping\r\n\r\ndata: {choice}\r\n\r\ndata: [DONE]\r\n\r\n");
        // Bytes of one character in two packets, and lines in the middle.
        let packets = body.into_bytes().chunks(3).map(<[u8]>::to_vec).collect();
        Answer::Packets(packets, Ending::Open)
    })
    .await;
    let (answers, _) = asked(&server, 1, |_| request(0..1), |c| c.stream = Streaming::On).await;
    assert_eq!(texts(answers), ["naïve — é"]);
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_reports_an_error_is_asked_for_again() {
    let part = |end: &'static str| {
        let choice = json!({"choices": [{"delta": {"content": "half"}}]});
        vec![format!("data: {choice}\n\n").into_bytes(), end.as_bytes().to_vec()]
    };
    let cases = [
        (part("data: {\"cho"), Ending::Closed),
        (part(""), Ending::Closed),
        (part(""), Ending::Broken),
        (
            part("data: {\"error\": {\"message\": \"worker died\", \"code\": 500}}\n\n"),
            Ending::Closed,
        ),
        (
            part("data: {\"error\": {\"message\": \"x\", \"type\": \"server_error\"}}\n\n"),
            Ending::Closed,
        ),
    ];
    for (packets, ending) in cases {
        let packets = packets.into_iter().filter(|packet| !packet.is_empty()).collect::<Vec<_>>();
        let server = TestServer::start(move |number, seen| match number {
            0 => Answer::Packets(packets.clone(), ending),
            _ => streamed(seen),
        })
        .await;
        let (answers, _) = asked(&server, 1, |_| request(0..1), |c| c.stream = Streaming::On).await;
        assert_eq!(texts(answers), ["sample 0"]);
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn an_overflow_inside_a_stream_is_an_overflow() {
    let server = TestServer::start(|_, _| {
        let error =
            json!({"error": {"message": "maximum context length is 512 tokens", "code": 400}});
        Answer::Packets(vec![format!("data: {error}\n\n").into_bytes()], Ending::Closed)
    })
    .await;
    let (mut answers, _) = asked(&server, 1, |_| request(0..1), |c| c.stream = Streaming::On).await;
    let error = answers.remove(0).unwrap_err();
    assert!(matches!(error, ModelError::ContextOverflow { limit: Some(512), .. }), "{error}");
}

#[tokio::test]
async fn an_empty_stream_is_asked_for_whole_to_hear_why() {
    let server = TestServer::start(|_, seen| match seen.body["stream"].as_bool() {
        Some(true) => Answer::Packets(Vec::new(), Ending::Closed),
        _ => refused("This model's maximum context length is 8192 tokens."),
    })
    .await;
    let (mut answers, _) = asked(&server, 1, |_| request(0..1), |c| c.stream = Streaming::On).await;
    let error = answers.remove(0).unwrap_err();
    assert!(matches!(error, ModelError::ContextOverflow { limit: Some(8192), .. }), "{error}");
    assert_eq!(server.seen().len(), 2);
}
