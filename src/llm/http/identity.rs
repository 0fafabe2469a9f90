//! Which program answers, and in which version. No standard names a place for it, so every place
//! where servers put it is looked at, all at once.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::header::{HeaderMap, SERVER};
use serde_json::Value;

use crate::artifact::Server;
use crate::llm::http::transport::Transport;

/// Longest time for one look. A run waits for it once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where to look: below the base, or beside its version segment.
const PLACES: [&str; 7] = [
    "models",
    "../version",
    "../props",
    "../api/version",
    "../info",
    "../get_server_info",
    "../openapi.json",
];

/// Names in the header `server` that tell nothing: frameworks and gateways.
const GENERIC: [&str; 10] = [
    "uvicorn",
    "hypercorn",
    "gunicorn",
    "nginx",
    "cloudflare",
    "envoy",
    "caddy",
    "apache",
    "istio",
    "aiohttp",
];

/// `owned_by` of a model, and the server that gives itself away by it.
const OWNERS: [(&str, &str); 4] =
    [("vllm", "vLLM"), ("sglang", "SGLang"), ("llamacpp", "llama.cpp"), ("library", "Ollama")];

/// What a place answered.
struct Look {
    server: String,
    body: Value,
}

/// Asks around; what does not answer is passed over.
pub(super) async fn identify(transport: &Transport) -> Server {
    let looks = join_all(PLACES.map(|place| look(transport, place))).await;
    told(&looks)
}

async fn look(transport: &Transport, place: &str) -> Option<Look> {
    let request = transport.get(place).ok()?.timeout(PATIENCE);
    let response = request.send().await.ok()?;
    let server = header(response.headers());
    let length = response.content_length().unwrap_or(0);
    let body = match response.status().is_success() && length < (4 << 20) {
        true => response.json().await.unwrap_or_default(),
        false => Value::Null,
    };
    Some(Look { server, body })
}

fn header(headers: &HeaderMap) -> String {
    headers.get(SERVER).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn told(looks: &[Option<Look>]) -> Server {
    let body = |at: usize| looks[at].as_ref().map_or(&Value::Null, |look| &look.body);
    let text = |at: usize, pointer: &str| {
        let value = body(at).pointer(pointer).and_then(Value::as_str);
        value.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let owner = text(0, "/data/0/owned_by");
    let owner = OWNERS.into_iter().find(|(owned, _)| owner.as_deref() == Some(*owned));
    let header = looks.iter().flatten().map(|look| look.server.as_str());
    let header = header.into_iter().find(|name| {
        let lower = name.to_ascii_lowercase();
        !name.is_empty() && !GENERIC.iter().any(|generic| lower.starts_with(generic))
    });
    // A framework's own defaults.
    let title = text(6, "/info/title").filter(|title| title != "FastAPI");
    let titled = title.is_some();
    // transformers' server has no name of its own, but a route that no other has.
    let routed = body(6).pointer("/paths/~1load_model").map(|_| "transformers".to_owned());
    let props = text(2, "/build_info");
    let ollama = text(3, "/version");
    let name = owner
        .map(|(_, name)| name.to_owned())
        .or_else(|| props.is_some().then(|| "llama.cpp".to_owned()))
        .or_else(|| ollama.is_some().then(|| "Ollama".to_owned()))
        .or_else(|| header.map(str::to_owned))
        .or(title)
        .or(routed);
    let version = text(1, "/version")
        .or(props)
        .or(ollama)
        .or_else(|| text(4, "/version"))
        .or_else(|| text(5, "/version"))
        .or_else(|| text(6, "/info/version").filter(|_| titled));
    Server { name: name.unwrap_or_default(), version: version.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    use serde_json::json;

    use crate::llm::test_server::{Answer, TestServer, quick};

    async fn of(answer: fn(&str) -> Option<Value>) -> String {
        let server = TestServer::start(move |_, seen| {
            answer(&seen.path)
                .map_or_else(|| Answer::Json(404, json!({})), |body| Answer::Json(200, body))
        })
        .await;
        identify(&Transport::new(&quick(&server.url)).unwrap()).await.to_string()
    }

    #[tokio::test]
    async fn servers_are_known_by_what_they_tell_and_where() {
        let vllm = of(|path| match path {
            "/v1/models" => Some(json!({"data": [{"id": "m", "owned_by": "vllm"}]})),
            "/version" => Some(json!({"version": "0.9.1"})),
            _ => None,
        });
        assert_eq!(vllm.await, "vLLM 0.9.1");
        let llama = of(|path| (path == "/props").then(|| json!({"build_info": "b6000-abc"})));
        assert_eq!(llama.await, "llama.cpp b6000-abc");
        let titled = of(|path| {
            (path == "/openapi.json")
                .then(|| json!({"info": {"title": "A server", "version": "3"}}))
        });
        assert_eq!(titled.await, "A server 3");
        let framework = of(|path| {
            (path == "/openapi.json")
                .then(|| json!({"info": {"title": "FastAPI", "version": "0.1.0"}}))
        });
        assert_eq!(framework.await, "unknown");
        let routed =
            of(|path| (path == "/openapi.json").then(|| json!({"paths": {"/load_model": {}}})));
        assert_eq!(routed.await, "transformers");
        assert_eq!(of(|_| Some(json!([1]))).await, "unknown");
    }
}
