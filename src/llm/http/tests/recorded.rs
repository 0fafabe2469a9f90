//! Answers of real servers, recorded by `evaluation/servers/record.py`.

use std::path::Path;

use serde::Deserialize;

use crate::llm::http::refusal::Words;
use crate::llm::http::{fit, wire};

#[derive(Deserialize)]
struct Recorded {
    status: u16,
    body: String,
}

#[test]
fn every_recorded_answer_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/servers/recorded");
    let mut seen = 0;
    for server in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(server.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let recorded: Recorded = serde_json::from_str(&text).unwrap();
            understood(&name, &recorded, &path);
            seen += 1;
        }
    }
    assert!(seen >= 18, "{seen} recordings");
}

fn understood(name: &str, recorded: &Recorded, path: &Path) {
    let (body, path) = (recorded.body.as_bytes(), path.display());
    match (recorded.status, name) {
        (200, "models") => assert_eq!(wire::models(body).unwrap().len(), 1, "{path}"),
        // Cut to a sample.
        (200, "embeddings") => assert!(recorded.body.contains("embedding"), "{path}"),
        // What llama-cpp-python streams where it refuses; the client then asks without a stream.
        (200, "overflow-stream") if body.is_empty() => {}
        (200, _) => {
            let (replies, streamed) = fit::read(body).unwrap_or_else(|e| panic!("{path}: {e:?}"));
            assert_eq!(streamed, name.contains("stream"), "{path}");
            assert_eq!(replies.len(), 1, "{path}");
            assert!(replies[0].finish_reason.is_some(), "{path}");
            assert!(replies[0].content.is_some(), "{path}");
        }
        (_, "overflow" | "overflow-stream") => {
            let words = Words::read(body);
            assert!(words.overflow().is_some(), "{path}: {words:?}");
        }
        // A field that is refused is named.
        (400 | 422, _) => {
            let field = if name == "stream-usage" { "stream_options" } else { name };
            let words = Words::read(body);
            assert!(words.message.contains(field), "{path}: {words:?}");
        }
        (status, _) => {
            assert!(name == "embeddings" && [404, 500].contains(&status), "{path}: {status}");
        }
    }
}
