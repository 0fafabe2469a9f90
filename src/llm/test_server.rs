//! A real HTTP server on port 0 that answers as a test says, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::artifact::InstanceId;
use crate::event::{Event, EventKind, Events};
use crate::llm::{Call, HttpClient, HttpConfig, Message, ModelRequest};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What to answer.
pub(super) enum Answer {
    /// Status and JSON.
    Json(u16, Value),
    /// Status, content type and text.
    Text(u16, &'static str, String),
    /// Status, one header and no body.
    Header(u16, &'static str, String),
    /// The headers of success, the beginning of a body, then the connection breaks.
    Broken,
    /// A stream of events in these packets, and what comes after the last.
    Packets(Vec<Vec<u8>>, Ending),
    /// Nothing, ever.
    Silence,
    /// The other answer, later.
    Late(Duration, Box<Answer>),
}

/// What a stream ends with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// The end, as it should be.
    Closed,
    /// The connection stays open.
    Open,
    /// The connection breaks.
    Broken,
}

type Script = dyn Fn(usize, &Seen) -> Answer + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
}

/// The running server; it ends with the test's runtime.
pub(super) struct TestServer {
    shared: Arc<Shared>,
    /// Its address, with `/v1`.
    pub(super) url: String,
}

impl TestServer {
    /// `script` gets the number of the request, from 0, and the request.
    pub(super) async fn start(
        script: impl Fn(usize, &Seen) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared { script: Box::new(script), seen: Mutex::default() });
        let app = Router::new().fallback(handle).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { shared, url }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// A quick client for it, and its events.
    pub(super) async fn client(
        &self,
        change: impl FnOnce(&mut HttpConfig),
    ) -> (HttpClient, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = Events::channel();
        let mut config = quick(&self.url);
        change(&mut config);
        (HttpClient::new(config, events, Default::default()).await.unwrap(), receiver)
    }
}

/// Settings with short waits and a fixed limit of requests.
pub(super) fn quick(url: &str) -> HttpConfig {
    HttpConfig {
        model: Some("m".into()),
        timeout: Duration::from_secs(10),
        max_attempts: 3,
        first_wait: Duration::from_millis(4),
        max_wait: Duration::from_millis(400),
        adaptive_concurrency: false,
        ..HttpConfig::new(url)
    }
}

/// A chat completion with one choice for each text.
pub(super) fn chat(texts: &[&str]) -> Answer {
    let choice = |(index, text): (usize, &&str)| {
        json!({"index": index, "finish_reason": "stop",
               "message": {"role": "assistant", "content": text}})
    };
    let choices: Vec<_> = texts.iter().enumerate().map(choice).collect();
    Answer::Json(
        200,
        json!({"id": "1", "object": "chat.completion", "model": "m-2", "choices": choices,
               "usage": {"prompt_tokens": 7, "completion_tokens": 5}}),
    )
}

/// An answer that names the request's `x-agent-sample`.
pub(super) fn echo(seen: &Seen) -> Answer {
    chat(&[&format!("sample {}", seen.header("x-agent-sample"))])
}

pub(super) fn request(samples: std::ops::Range<u32>) -> ModelRequest {
    ModelRequest {
        instance: InstanceId::new("acme__widgets-7").unwrap(),
        call: Call::Repair,
        messages: vec![Message { role: "user".into(), content: "please mend it".into() }],
        samples,
        temperature: 0.8,
        max_tokens: 64,
        seed: Some(9),
        stop: Vec::new(),
    }
}

/// Everything emitted so far, but for what goes out and what comes to nothing: tests of attempts
/// tell these apart by their results.
pub(super) fn drain(events: &mut tokio::sync::mpsc::UnboundedReceiver<Event>) -> Vec<EventKind> {
    let is_result = |kind: &EventKind| {
        !matches!(kind, EventKind::ModelAsked { .. } | EventKind::ModelFailed { .. })
    };
    let all = std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.kind);
    all.filter(is_result).collect()
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let request = Seen { path: uri.path().to_owned(), headers, body };
    let number = {
        let mut seen = shared.seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    let mut answer = (shared.script)(number, &request);
    while let Answer::Late(wait, later) = answer {
        tokio::time::sleep(wait).await;
        answer = *later;
    }
    respond(answer).await
}

async fn respond(answer: Answer) -> Response<Body> {
    let build = |status: u16, kind: &str, body: Body| {
        Response::builder().status(status).header("content-type", kind).body(body).unwrap()
    };
    match answer {
        Answer::Json(status, json) => build(status, "application/json", json.to_string().into()),
        Answer::Text(status, kind, text) => build(status, kind, text.into()),
        Answer::Header(status, name, value) => {
            Response::builder().status(status).header(name, value).body(Body::empty()).unwrap()
        }
        Answer::Broken => {
            let begin = async { Ok(Bytes::from_static(b"{\"choices\": [{\"index\": 0, ")) };
            let end = async {
                // Without a pause not even the headers would leave.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(std::io::Error::other("cut"))
            };
            let parts = stream::once(begin).chain(stream::once(end));
            build(200, "application/json", Body::from_stream(parts))
        }
        Answer::Packets(packets, ending) => {
            let packets = stream::iter(packets).then(async |packet| {
                // Long enough for each to be a read of its own.
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(Bytes::from(packet))
            });
            let last = async move {
                match ending {
                    Ending::Open => std::future::pending().await,
                    _ => Err(std::io::Error::other("cut")),
                }
            };
            let kind = "text/event-stream";
            match ending {
                Ending::Closed => build(200, kind, Body::from_stream(packets)),
                _ => build(200, kind, Body::from_stream(packets.chain(stream::once(last)))),
            }
        }
        Answer::Silence => std::future::pending().await,
        Answer::Late(..) => unreachable!("unwrapped by the caller"),
    }
}
