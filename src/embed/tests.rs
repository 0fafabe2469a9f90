//! Against real HTTP servers, real repositories and a cache on disk.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::routing::post;
use serde_json::{Value, json};

use super::*;
use crate::event::EventKind;
use crate::repo::testing::TestRepo;

/// How the server answers: texts to status and body.
type Script = fn(&[String]) -> (u16, String);

struct Server {
    url: String,
    texts: Arc<AtomicUsize>,
}

async fn serve(script: Script) -> Server {
    let texts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&texts);
    let app = Router::new().route(
        "/v1/embeddings",
        post(move |body: axum::Json<Value>| async move {
            let input = body["input"].as_array().unwrap().iter();
            let input = input.map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>();
            counted.fetch_add(input.len(), Ordering::SeqCst);
            let (status, text) = script(&input);
            (axum::http::StatusCode::from_u16(status).unwrap(), text)
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    Server { url, texts }
}

/// A bag of hashed words: what shares words is near.
fn bag(text: &str) -> Vec<f64> {
    let mut vector = vec![0.0; 256];
    for word in text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|w| w.len() > 3) {
        let hash =
            word.bytes().fold(7_usize, |hash, byte| (hash * 31 + usize::from(byte)) % 65_521);
        vector[hash % 256] += 1.0;
    }
    vector
}

fn answer(texts: &[String], vector: impl Fn(&str) -> Vec<f64>) -> (u16, String) {
    let data = texts.iter().enumerate();
    let data = data.map(|(at, text)| json!({"index": at, "embedding": vector(text)}));
    (200, json!({ "data": data.collect::<Vec<_>>() }).to_string())
}

fn bags(texts: &[String]) -> (u16, String) {
    answer(texts, bag)
}

struct Scene {
    checkout: Arc<Checkout>,
    ranked: Vec<RankedFile>,
    _repo: TestRepo,
}

const ISSUE: &str = "Marmalade jars overflow when the orange harvest is doubled";

fn scene() -> Scene {
    let repo = TestRepo::new();
    repo.write("a.py", b"def first():\n    return 'nothing of interest here'\n");
    repo.write("b.py", b"def second():\n    return 'nothing either, really'\n");
    repo.write(
        "c.py",
        b"def fill(marmalade, orange, harvest, jars):\n    overflow = doubled = 2\n",
    );
    let base = repo.commit("base");
    let checkout = Arc::new(Checkout::open(repo.path(), &base).unwrap());
    let file = |(at, path): (usize, &str)| RankedFile {
        path: path.into(),
        score: 3.0 - at as f64,
        reasons: vec!["bm25 rank 1".into()],
        places: Vec::new(),
    };
    let ranked = ["a.py", "b.py", "c.py"].into_iter().enumerate().map(file).collect();
    Scene { checkout, ranked, _repo: repo }
}

impl Scene {
    async fn join(
        &self,
        embeddings: &Embeddings,
        index: &IndexCache,
    ) -> (Vec<RankedFile>, Vec<String>) {
        let (events, mut receiver) = Events::channel();
        let ranked = self.ranked.clone();
        let joined = embeddings.join(ranked, ISSUE, &self.checkout, index, &events).await;
        let notices =
            std::iter::from_fn(|| receiver.try_recv().ok()).filter_map(|e| match e.kind {
                EventKind::Notice { message } => Some(message),
                _ => None,
            });
        (joined, notices.collect())
    }
}

fn embeddings(url: &str) -> Embeddings {
    let quick = std::time::Duration::from_millis(2);
    let config = HttpConfig {
        model: Some("bag".into()),
        first_wait: quick,
        max_wait: quick,
        ..HttpConfig::new(url)
    };
    Embeddings::new(config, 30, 3.0, CancellationToken::new())
}

fn order(ranked: &[RankedFile]) -> Vec<&str> {
    ranked.iter().map(|file| file.path.as_str()).collect()
}

#[tokio::test]
async fn what_means_the_same_is_lifted_and_nothing_is_asked_twice() {
    let (server, scene) = (serve(bags).await, scene());
    let dir = tempfile::tempdir().unwrap();
    let cache = || IndexCache::at(dir.path().to_owned(), 1 << 30);
    let (joined, notices) = scene.join(&embeddings(&server.url), &cache()).await;
    assert_eq!(order(&joined), ["c.py", "a.py", "b.py"], "{joined:#?}");
    assert!(joined[0].reasons[0].starts_with("embeddings rank 1 (cosine 0."), "{joined:#?}");
    assert_eq!(notices, [""; 0]);
    let asked = server.texts.load(Ordering::SeqCst);
    assert_eq!(asked, 4, "the issue and three functions");

    // Another process: the vectors are on disk.
    let (again, _) = scene.join(&embeddings(&server.url), &cache()).await;
    assert_eq!(again, joined);
    assert_eq!(server.texts.load(Ordering::SeqCst), asked);

    // A torn record costs itself alone, and what follows is written after the whole ones.
    let kept = walk(dir.path());
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &bytes[..bytes.len() - 3]).unwrap();
    for _ in 0..2 {
        let (again, _) = scene.join(&embeddings(&server.url), &cache()).await;
        assert_eq!(again, joined);
    }
    assert_eq!(server.texts.load(Ordering::SeqCst), asked + 1);

    // Cleared with the index, and asked for again.
    assert_eq!(cache().clear().unwrap(), 1);
    scene.join(&embeddings(&server.url), &cache()).await;
    assert_eq!(server.texts.load(Ordering::SeqCst), 2 * asked + 1);
}

fn walk(dir: &std::path::Path) -> std::path::PathBuf {
    let homes = std::fs::read_dir(dir).unwrap().flatten();
    let files = homes.flat_map(|home| std::fs::read_dir(home.path()).unwrap().flatten());
    let mut paths = files.map(|file| file.path());
    paths.find(|path| path.to_string_lossy().contains("/vectors-")).unwrap()
}

#[tokio::test]
async fn a_server_that_fails_costs_the_list_and_never_the_ranking() {
    type Row = (Script, &'static str);
    let table: [Row; 6] = [
        (|_| (500, "{\"error\": \"out of memory\"}".into()), "out of memory"),
        (|_| (404, "{\"detail\": \"Not Found\"}".into()), "Not Found"),
        (|texts| answer(&texts[1..], bag), "3 embeddings for 4 texts"),
        (|texts| answer(texts, |t| vec![1.0; 2 + t.len() % 2]), "dimensions in one answer"),
        (
            |texts| (200, answer(texts, |_| vec![0.5]).1.replace("0.5", "NaN")),
            "holds no embeddings",
        ),
        (|_| (200, "<html>".into()), "holds no embeddings"),
    ];
    for (script, words) in table {
        let (server, scene) = (serve(script).await, scene());
        let (joined, notices) =
            scene.join(&embeddings(&server.url), &IndexCache::in_memory()).await;
        assert_eq!(joined, scene.ranked, "{words}");
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains(words), "{words}: {notices:?}");
    }
    let scene = scene();
    let gone = embeddings("http://127.0.0.1:9/v1");
    let mut said = Vec::new();
    for _ in 0..5 {
        let (joined, notices) = scene.join(&gone, &IndexCache::in_memory()).await;
        assert_eq!(joined, scene.ranked);
        said.extend(notices);
    }
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[2].contains("as of now for all instances"), "{said:?}");
}

#[tokio::test]
async fn vectors_of_another_length_than_those_kept_are_told() {
    let scene = scene();
    let index = IndexCache::in_memory();
    let (long, short) = (serve(bags).await, serve(|t| answer(t, |_| vec![1.0, 2.0])).await);
    let first = embeddings(&long.url);
    scene.join(&first, &index).await;
    // The same address and name, another model: as if the server had been started anew.
    let second = Embeddings { client: OnceCell::new(), ..embeddings(&long.url) };
    let config = HttpConfig { model: Some("bag".into()), ..HttpConfig::new(&short.url) };
    let client =
        HttpClient::new(config, Events::discard(), CancellationToken::new()).await.unwrap();
    second.client.set(client).unwrap();
    let other = scene.ranked[..2].to_vec();
    let (events, mut receiver) = Events::channel();
    let joined =
        second.join(other.clone(), "Another issue", &scene.checkout, &index, &events).await;
    assert_eq!(joined, other);
    let event = receiver.try_recv().unwrap();
    let EventKind::Notice { message } = event.kind else { panic!("{event:?}") };
    assert!(message.contains("agent index clear"), "{message}");
}

#[tokio::test]
async fn texts_that_are_too_long_for_the_model_are_shortened() {
    let script: Script = |texts| match texts.iter().map(String::len).max() {
        Some(length) if length > 500 => {
            (400, json!({"error": {"message": "maximum context length is 128 tokens"}}).to_string())
        }
        _ => bags(texts),
    };
    let server = serve(script).await;
    let repo = TestRepo::new();
    let long = format!("def f():\n{}", "    marmalade = orange + harvest\n".repeat(40));
    repo.write("a.py", long.as_bytes());
    let base = repo.commit("base");
    let checkout = Arc::new(Checkout::open(repo.path(), &base).unwrap());
    let ranked = vec![RankedFile {
        path: "a.py".into(),
        score: 1.0,
        reasons: Vec::new(),
        places: Vec::new(),
    }];
    let index = IndexCache::in_memory();
    let (embeddings, events) = (embeddings(&server.url), Events::discard());
    let joined = embeddings.join(ranked, ISSUE, &checkout, &index, &events).await;
    assert!(joined[0].reasons[0].starts_with("embeddings rank 1"));
}
