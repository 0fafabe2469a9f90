//! Model servers and embeddings servers, through the binary.

use std::process::Command;

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::harness::{Place, SAMPLES, json as read_json, sample, sample_repository};

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_what_a_server_can_do() {
    // Knows one thing, and `n` not at all.
    let models = || async { axum::Json(json!({"data": [{"id": "m"}]})) };
    let chat = || async {
        let choice = json!({"message": {"content": "print(1)"}, "finish_reason": "stop"});
        axum::Json(json!({"choices": [choice]}))
    };
    let app =
        Router::new().route("/v1/models", get(models)).route("/v1/chat/completions", post(chat));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let ran = tokio::task::spawn_blocking(move || {
        let place = Place::new();
        let args = ["doctor", "--sandbox", "local", "--base-url", url.as_str()];
        (place.agent(&[&args[..], &["--json"]].concat()), place.agent(&args))
    });
    let (json, text) = ran.await.unwrap();
    let checks: Vec<Value> = serde_json::from_str(&json.stdout).unwrap();
    let of = |name: &str| checks.iter().find(|check| check["what"] == name).unwrap();
    assert_eq!(of("chat")["can"], true, "{checks:#?}");
    assert_eq!(of("n")["can"], false, "{checks:#?}");
    assert!(of("n")["instead"].as_str().unwrap().contains("one by one"));
    assert_eq!(of("n")["ok"], true, "what is done otherwise is no failure");
    assert!(text.stdout.contains("  no   n "), "{}", text.stdout);
    assert!(text.stdout.contains("instead: samples are asked for one by one"), "{}", text.stdout);
}

/// Hashed words: what shares words is near.
async fn bags(body: axum::Json<Value>) -> axum::Json<Value> {
    let embedding = |text: &str| {
        let mut vector = vec![0.0; 512];
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3) {
            let hash = word.bytes().fold(7, |hash, b| (hash * 31 + usize::from(b)) % 65_521);
            vector[hash % 512] += 1.0;
        }
        vector
    };
    let texts = body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
    let data = texts.map(|text| json!({"embedding": embedding(text)})).collect::<Vec<_>>();
    axum::Json(json!({ "data": data }))
}

#[tokio::test(flavor = "multi_thread")]
async fn embeddings_join_every_ranking_and_say_so() {
    let app = Router::new().route("/v1/embeddings", post(bags));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    tokio::task::spawn_blocking(move || {
        let place = Place::new();
        sample_repository(&place, SAMPLES[1], "mine");
        let issue = sample(SAMPLES[1], "issue.md").display().to_string();
        let query = ["index", "query", "mine", "--issue", &issue];
        let with = ["--embeddings-url", &url, "--embeddings-model", "bags"];
        let plain = place.ok(&query).stdout;
        let joined = place.ok(&[&query[..], &with].concat());
        assert!(joined.stdout.contains("(embeddings rank 1 (cosine 0."), "{}", joined.stdout);
        assert!(!plain.contains("embeddings"), "{plain}");

        let list = ["localize", "sample", "--no-model"];
        let lists =
            place.ok(&[&list[..], &with, &["--set", "localize.embeddings_weight=3.0"]].concat());
        assert_ne!(lists.stdout, place.ok(&list).stdout, "the list has a say");

        let solve = ["solve", "--instance", SAMPLES[1], "-o", "run", "--sandbox", "local"];
        let ran = place.ok(&[&solve[..], &with].concat());
        let found = read_json(&place.path(&format!("run/{}/localization.json", SAMPLES[1])));
        assert!(found.to_string().contains("embeddings rank 1"), "{found:#}\n{}", ran.stderr);
    })
    .await
    .unwrap();
}

#[test]
fn an_embeddings_server_that_is_gone_changes_no_ranking() {
    let place = Place::new();
    let list = ["localize", "sample", "--no-model"];
    let gone = ["--embeddings-url", "http://127.0.0.1:9/v1", "--embeddings-model", "m"];
    let ran = place.ok(&[&list[..], &gone].concat());
    assert_eq!(ran.stdout, place.ok(&list).stdout);
    assert!(ran.stderr.contains("embeddings are left out"), "{}", ran.stderr);
}

/// Real servers, where `AGENT_TEST_SERVERS` names a directory that holds their environments, `llama`
/// and `hf`, as `evaluation/servers/run.sh` makes them.
#[test]
fn real_servers_are_served() {
    let Some(environments) = std::env::var_os("AGENT_TEST_SERVERS") else {
        eprintln!("skipped: AGENT_TEST_SERVERS names no environments of real model servers");
        return;
    };
    let environments = std::path::PathBuf::from(environments);
    let place = Place::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/evaluation/servers/run.sh");
    let output = Command::new("bash")
        .args([script, env!("CARGO_BIN_EXE_agent"), "out"])
        .env("AGENT_SERVERS_LLAMA", environments.join("llama"))
        .env("AGENT_SERVERS_HF", environments.join("hf"))
        .current_dir(place.dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for (server, lacks) in [("llama-cpp-python", "n"), ("transformers", "n")] {
        let checks = read_json(&place.path(&format!("out/{server}/doctor.json")));
        let checks = checks.as_array().unwrap();
        let of = |name: &str| checks.iter().find(|check| check["what"] == name).unwrap();
        assert_eq!(of("chat")["can"], true, "{checks:#?}");
        assert_eq!(of("streaming")["can"], true, "{checks:#?}");
        assert_eq!(of(lacks)["can"], false, "{checks:#?}");
    }
}
