//! Datasets of the hub, from a server that speaks the hub's endpoints on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path as Segments, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use parquet::basic::Compression;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{Place, Ran, SAMPLES, git, json, ran, sample, sample_repository};
use crate::parquet_rows::{Column, parquet};

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Fine,
    /// Every answer has this status.
    Status(u16),
    /// Answers as a captive portal does.
    Portal,
    /// The storage gives fewer bytes than were announced as the file's digest.
    Cut,
}

struct Repository {
    sha: String,
    files: BTreeMap<String, Vec<u8>>,
}

struct Inner {
    mood: Mood,
    repositories: BTreeMap<String, Repository>,
    /// Requests: what was asked, and whether a token came along.
    asked: Vec<(String, bool)>,
    storage: String,
}

type Shared = Arc<Mutex<Inner>>;

/// A hub; it ends with the test.
struct Server {
    endpoint: String,
    inner: Shared,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

impl Server {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Mutex::new(Inner {
            mood: Mood::Fine,
            repositories: BTreeMap::new(),
            asked: Vec::new(),
            // Another host's name, as the hub's storage has.
            storage: format!("http://localhost:{port}"),
        }));
        let router = Router::new()
            .route("/api/datasets/{owner}/{name}/revision/{revision}", get(info))
            .route("/datasets/{owner}/{name}/resolve/{revision}/{*path}", get(resolve))
            .route("/storage/{owner}/{name}/{*path}", get(storage))
            .with_state(Arc::clone(&inner));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { endpoint: format!("http://127.0.0.1:{port}"), inner, runtime: Some(runtime) }
    }

    fn set(&self, mood: Mood) {
        self.inner.lock().unwrap().mood = mood;
    }

    fn publish(&self, id: &str, sha: &str, files: &[(&str, Vec<u8>)]) {
        let files = files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.clone())).collect();
        let repository = Repository { sha: sha.repeat(40), files };
        self.inner.lock().unwrap().repositories.insert(id.to_owned(), repository);
    }

    /// What was asked since the last look.
    fn asked(&self) -> Vec<(String, bool)> {
        std::mem::take(&mut self.inner.lock().unwrap().asked)
    }

    fn agent(&self, place: &Place, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = place.command(args);
        command.env("HF_ENDPOINT", &self.endpoint).envs(variables.iter().copied());
        ran(command.output().unwrap())
    }
}

/// Notes a request and gives the answer of a server in a bad mood.
fn note(shared: &Shared, what: String, headers: &HeaderMap) -> Option<Response> {
    let mut inner = shared.lock().unwrap();
    inner.asked.push((what, headers.contains_key(header::AUTHORIZATION)));
    let answer = |status, body: &str| {
        Response::builder().status(status).body(Body::from(body.to_owned())).unwrap()
    };
    match inner.mood {
        Mood::Status(status) => Some(answer(status, "{\"error\": \"in a bad mood\"}")),
        Mood::Portal => Some(answer(200, "<html>please log in</html>")),
        Mood::Fine | Mood::Cut => None,
    }
}

fn absent(code: &str) -> Response {
    let answer = Response::builder().status(404).header("x-error-code", code);
    answer.body(Body::empty()).unwrap()
}

async fn info(
    State(shared): State<Shared>,
    Segments((owner, name, revision)): Segments<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let id = format!("{owner}/{name}");
    if let Some(answer) = note(&shared, format!("info {id} {revision}"), &headers) {
        return answer;
    }
    let inner = shared.lock().unwrap();
    let Some(repository) = inner.repositories.get(&id) else { return absent("RepoNotFound") };
    if revision != "main" && revision != repository.sha {
        return absent("RevisionNotFound");
    }
    let siblings: Vec<_> = repository.files.keys().map(|path| json!({"rfilename": path})).collect();
    let body = json!({"id": id, "sha": repository.sha, "gated": false, "siblings": siblings});
    Response::new(Body::from(body.to_string()))
}

async fn resolve(
    State(shared): State<Shared>,
    Segments((owner, name, revision, path)): Segments<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let id = format!("{owner}/{name}");
    if let Some(answer) = note(&shared, format!("file {path}"), &headers) {
        return answer;
    }
    let inner = shared.lock().unwrap();
    let repository = &inner.repositories[&id];
    assert_eq!(revision, repository.sha, "files are asked for by commit");
    let digest = Sha256::digest(&repository.files[&path]);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Response::builder()
        .status(StatusCode::FOUND)
        .header("x-repo-commit", &repository.sha)
        .header("x-linked-etag", format!("\"{digest}\""))
        .header(header::ETAG, "\"of-the-redirect\"")
        .header(header::LOCATION, format!("{}/storage/{id}/{path}", inner.storage))
        .body(Body::empty())
        .unwrap()
}

async fn storage(
    State(shared): State<Shared>,
    Segments((owner, name, path)): Segments<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Some(answer) = note(&shared, format!("storage {path}"), &headers) {
        return answer;
    }
    let inner = shared.lock().unwrap();
    let mut bytes = inner.repositories[&format!("{owner}/{name}")].files[&path].clone();
    if inner.mood == Mood::Cut {
        bytes.truncate(bytes.len() / 2);
    }
    Response::new(Body::from(bytes))
}

/// Rows of made-up instances.
fn rows(ids: &[&str]) -> Vec<u8> {
    let same = |text: &str| Column::text(vec![text.to_owned(); ids.len()]);
    parquet(
        &[
            ("instance_id", Column::text(ids.iter().copied())),
            ("repo", same("owner/name")),
            ("base_commit", same(&"b".repeat(40))),
            ("problem_statement", same("it breaks")),
            ("FAIL_TO_PASS", Column::List(vec![vec!["t::a".to_owned()]; ids.len()])),
            ("created_at", Column::Time(vec![0; ids.len()])),
            ("seen_at", Column::Nanos(vec![0; ids.len()])),
            ("number", Column::Number(vec![1; ids.len()])),
        ],
        Compression::SNAPPY,
    )
}

const LITE: &str = "SWE-bench/SWE-bench_Lite";
const TEST: &str = "data/test-00000-of-00001.parquet";

fn lite() -> (Place, Server) {
    let (place, server) = (Place::new(), Server::start());
    let dev = ("data/dev-00000-of-00001.parquet", rows(&["owner__name-9"]));
    let test = (TEST, rows(&["owner__name-1", "owner__name-2"]));
    server.publish(LITE, "c", &[("README.md", b"card".to_vec()), dev, test]);
    (place, server)
}

fn cache(place: &Place) -> PathBuf {
    place.path("../.cache/huggingface/hub/datasets--SWE-bench--SWE-bench_Lite")
}

fn fetch_json(
    server: &Server,
    place: &Place,
    name: &str,
    variables: &[(&str, &str)],
) -> serde_json::Value {
    let ran = server.agent(place, &["dataset", "fetch", name, "--json"], variables);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[test]
fn a_dataset_is_fetched_once_into_the_hubs_own_layout() {
    let (place, server) = lite();
    let first = fetch_json(&server, &place, "lite", &[("HF_TOKEN", "hf_secret")]);
    let commit = "c".repeat(40);
    assert_eq!(first["rows"], 2);
    assert_eq!(first["pinned"], format!("{LITE}@{commit}:test"));
    // The token goes to the hub and not to its storage.
    let asked = [
        (format!("info {LITE} main"), true),
        (format!("file {TEST}"), true),
        (format!("storage {TEST}"), false),
    ];
    assert_eq!(server.asked(), asked);

    let cache = cache(&place);
    assert_eq!(std::fs::read_to_string(cache.join("refs/main")).unwrap(), commit);
    let pointer = cache.join("snapshots").join(&commit).join(TEST);
    let target = std::fs::read_link(&pointer).unwrap();
    assert!(target.starts_with("../../../blobs"), "{}", target.display());
    let digest = Sha256::digest(rows(&["owner__name-1", "owner__name-2"]));
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(target.file_name().unwrap().to_str().unwrap(), digest);
    assert_eq!(first["sha256"], digest);
    let blobs = std::fs::read_dir(cache.join("blobs")).unwrap().count();
    assert_eq!(blobs, 1, "only the split's file, and nothing half");

    // The second time the hub is only asked whether anything is new.
    assert_eq!(fetch_json(&server, &place, "lite", &[]), first);
    assert_eq!(server.asked(), [(format!("info {LITE} main"), false)]);
    // A commit never changes, so nobody is asked.
    let pinned = format!("lite@{commit}");
    assert_eq!(fetch_json(&server, &place, &pinned, &[])["pinned"], first["pinned"]);
    assert_eq!(server.asked(), []);
    let dev = fetch_json(&server, &place, "lite:dev", &[]);
    assert_eq!(dev["rows"], 1);
}

#[test]
fn what_is_cached_needs_no_network() {
    let (place, server) = lite();
    let check = ["dataset", "check", "lite", "--sandbox", "local"];
    let never = server.agent(&place, &check, &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(never.code, Some(3), "{}", never.stderr);
    assert!(never.stderr.contains("HF_HUB_OFFLINE forbids"), "{}", never.stderr);
    assert!(never.stderr.contains("agent dataset fetch"), "{}", never.stderr);
    assert_eq!(server.asked(), []);

    let down = Server::start();
    let endpoint = down.endpoint.clone();
    drop(down);
    let nowhere = [("HF_ENDPOINT", endpoint.as_str())];
    let unreachable = server.agent(&place, &check, &nowhere);
    assert_eq!(unreachable.code, Some(3), "{}", unreachable.stderr);
    assert!(unreachable.stderr.contains(&format!("cannot reach {endpoint}/api/datasets/{LITE}")));
    assert!(unreachable.stderr.contains("HTTPS_PROXY"), "{}", unreachable.stderr);

    let fresh = server.agent(&place, &check, &[]);
    assert_eq!(fresh.code, Some(0), "{}", fresh.stderr);
    server.asked();
    let offline = server.agent(&place, &check, &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!((offline.code, &offline.stdout), (Some(0), &fresh.stdout), "{}", offline.stderr);
    assert_eq!(server.asked(), []);
    let down = server.agent(&place, &check, &nowhere);
    assert_eq!((down.code, &down.stdout), (Some(0), &fresh.stdout), "{}", down.stderr);
    assert!(down.stderr.contains("the cached copy is taken"), "{}", down.stderr);
    for mood in [Mood::Status(503), Mood::Portal] {
        server.set(mood);
        let ran = server.agent(&place, &check, &[]);
        assert_eq!((ran.code, &ran.stdout), (Some(0), &fresh.stdout), "{mood:?} {}", ran.stderr);
        assert!(ran.stderr.contains("the cached copy is taken"), "{}", ran.stderr);
    }
}

#[test]
fn what_the_hub_refuses_says_what_to_do() {
    let (place, server) = lite();
    let fetch = |name: &str, variables: &[(&str, &str)]| {
        let ran = server.agent(&place, &["dataset", "fetch", name], variables);
        assert_ne!(ran.code, Some(0), "{}", ran.stdout);
        (ran.code.unwrap(), ran.stderr)
    };
    for status in [401, 403] {
        server.set(Mood::Status(status));
        let (code, words) = fetch("lite", &[]);
        assert_eq!(code, 3);
        let page = format!("{}/datasets/{LITE}", server.endpoint);
        for part in [&format!("answered {status}: in a bad mood"), &page, "set HF_TOKEN"] {
            assert!(words.contains(part), "{part}: {words}");
        }
        let (_, words) = fetch("lite", &[("HF_TOKEN", "hf_secret")]);
        assert!(words.contains("a token was sent and refused"), "{words}");
        assert!(!words.contains("hf_secret"), "{words}");
    }
    server.set(Mood::Fine);
    let (code, words) = fetch("someone/else", &[]);
    assert!(code == 2 && words.contains("there is no dataset someone/else"), "{words}");
    let (code, words) = fetch("lite@v9", &[]);
    assert!(code == 2 && words.contains(&format!("no revision v9 of {LITE}")), "{words}");
    let (code, words) = fetch("lite:train", &[]);
    assert!(code == 2 && words.contains("has no split train; it has dev, test"), "{words}");
    server.publish("someone/text", "d", &[("data/test.csv", b"a".to_vec())]);
    let (code, words) = fetch("someone/text", &[]);
    assert!(code == 2 && words.contains("holds no parquet file"), "{words}");
    server.publish(
        "someone/bare",
        "d",
        &[(TEST, { parquet(&[("instance_id", Column::text(["a__a-1"]))], Compression::SNAPPY) })],
    );
    let (code, words) = fetch("someone/bare", &[]);
    let named = format!("{TEST}, row 1: field `repo` is missing");
    assert!(code == 2 && words.contains(&named), "{words}");
}

#[test]
fn damaged_files_are_not_taken_and_are_fetched_again() {
    let (place, server) = lite();
    server.set(Mood::Cut);
    let cut = server.agent(&place, &["dataset", "fetch", "lite"], &[]);
    assert_eq!(cut.code, Some(3), "{}", cut.stderr);
    assert!(cut.stderr.contains("the SHA-256 of the content"), "{}", cut.stderr);
    assert_eq!(std::fs::read_dir(cache(&place).join("blobs")).unwrap().count(), 0);
    server.set(Mood::Fine);
    let whole = fetch_json(&server, &place, "lite", &[]);
    let blob = PathBuf::from(whole["files"][0].as_str().unwrap()).canonicalize().unwrap();
    let good = std::fs::read(&blob).unwrap();
    std::fs::write(&blob, &good[..good.len() - 20]).unwrap();
    let offline = server.agent(&place, &["dataset", "fetch", "lite"], &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(offline.code, Some(3));
    assert!(offline.stderr.contains("is damaged"), "{}", offline.stderr);
    assert!(offline.stderr.contains("run the command again"), "{}", offline.stderr);
    assert_eq!(fetch_json(&server, &place, "lite", &[]), whole);
    assert_eq!(std::fs::read(&blob).unwrap(), good);
}

#[test]
fn all_shards_of_a_split_are_one_dataset() {
    let (place, server) = (Place::new(), Server::start());
    let shards = [
        ("data/train-00000-of-00002.parquet", rows(&["owner__name-1"])),
        ("data/train-00001-of-00002.parquet", rows(&["owner__name-2", "owner__name-3"])),
    ];
    server.publish("owner/rows", "e", &shards);
    let whole = fetch_json(&server, &place, "owner/rows:train", &[]);
    assert_eq!((&whole["rows"], whole["files"].as_array().unwrap().len()), (&3.into(), 2));
    // A cache that lost a shard is not whole.
    std::fs::remove_file(whole["files"][1].as_str().unwrap()).unwrap();
    let fetch = ["dataset", "fetch", "owner/rows:train"];
    let offline = server.agent(&place, &fetch, &[("HF_HUB_OFFLINE", "1")]);
    assert_eq!(offline.code, Some(3), "{}", offline.stderr);
    assert!(offline.stderr.contains("cached in whole or in part"), "{}", offline.stderr);
    assert_eq!(fetch_json(&server, &place, "owner/rows:train", &[]), whole);
}

#[test]
fn the_list_says_what_is_here() {
    let (place, server) = lite();
    let list = || server.agent(&place, &["dataset", "list"], &[]).stdout;
    assert!(list().contains("agent dataset fetch lite"), "{}", list());
    fetch_json(&server, &place, "lite", &[]);
    server.asked();
    let text = list();
    assert!(text.contains(&format!("here: 2 rows at {}", "c".repeat(40))), "{text}");
    assert!(text.contains("agent dataset fetch verified"), "{text}");
    assert_eq!(server.asked(), [], "a list asks nobody");
}

/// A hub's dataset with the bundled instance, whose repository is in `repos`.
fn publish_sample(place: &Place, server: &Server, sha: &str, issue: &str) {
    let repo = place.path("repos/owner__name");
    if !Path::new(&repo).exists() {
        sample_repository(place, SAMPLES[1], "repos/owner__name");
    }
    let commit = git(&repo, &["rev-parse", "HEAD"]);
    let file = parquet(
        &[
            ("instance_id", Column::text([SAMPLES[1]])),
            ("repo", Column::text(["owner/name"])),
            ("base_commit", Column::text([commit.trim()])),
            ("problem_statement", Column::text([issue])),
        ],
        Compression::SNAPPY,
    );
    server.publish("owner/solvable", sha, &[(TEST, file)]);
}

#[test]
fn a_run_notes_the_commit_and_stays_with_it() {
    let (place, server) = (Place::new(), Server::start());
    let issue = std::fs::read_to_string(sample(SAMPLES[1], "issue.md")).unwrap();
    publish_sample(&place, &server, "1", &issue);
    let replies = sample(SAMPLES[1], "replies.jsonl");
    let replies = replies.to_str().unwrap();
    let run = ["run", "owner/solvable", "-o", "out", "--repos", "repos", "--sandbox", "local"];
    let run = [&run[..], &["--replay", replies]].concat();
    let first = server.agent(&place, &run, &[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let pinned = format!("owner/solvable@{}:test", "1".repeat(40));
    let record = json(&place.path("out/run.json"));
    assert_eq!(record["pinned_dataset"], pinned);
    assert_eq!(record["dataset"], "owner/solvable");
    assert_eq!(record["dataset_digest"].as_str().unwrap().len(), 64);

    // The hub moves on; the run that has begun does not.
    publish_sample(&place, &server, "2", "another text");
    let outcome = || json(&place.path(&format!("out/{}/instance.json", SAMPLES[1])));
    let before = outcome();
    let again = server.agent(&place, &run, &[]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(json(&place.path("out/run.json"))["pinned_dataset"], pinned);
    assert_eq!(json(&place.path("out/run.json"))["dataset"], "owner/solvable");
    assert_eq!(outcome(), before);
    let moved = fetch_json(&server, &place, "owner/solvable", &[]);
    assert_eq!(moved["pinned"], format!("owner/solvable@{}:test", "2".repeat(40)));
}

#[test]
fn check_says_what_each_stage_lacks_and_groups_rows() {
    let (place, server) = lite();
    let check = ["dataset", "check", "lite", "--sandbox", "local", "--repos", "repos"];
    let text = server.agent(&place, &check, &[]).stdout;
    let line = |stage: &str| text.lines().find(|line| line.starts_with(stage)).unwrap().to_owned();
    let counts = |stage: &str| -> Vec<usize> {
        line(stage).split_whitespace().skip(1).map(|count| count.parse().unwrap()).collect()
    };
    assert_eq!(counts("localize"), [0, 2, 0, 0], "{text}");
    assert_eq!(counts("execute"), [0, 0, 2, 0], "{text}");
    assert_eq!(counts("rerank"), [2, 0, 0, 0], "{text}");
    assert_eq!(counts("evaluate"), [0, 0, 0, 2], "{text}");
    assert!(text.contains("cloned from https://github.com/{repo}.git"), "{text}");
    assert_eq!(text.matches("owner__name-1").count(), 4, "one line for each lack: {text}");

    // Without a place to clone from nothing can be done with the rows.
    let unusable = [&check[..], &["--set", "repos.url=", "--json"]].concat();
    let ran = server.agent(&place, &unusable, &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["stages"]["localize"]["cannot"], 2);
    assert_eq!(found["rows"][1]["instance_id"], "owner__name-2");
    assert_eq!(found["rows"][1]["lacks"][0]["stages"], json!(["localize", "repair"]));
    assert_eq!(found["pinned"], format!("{LITE}@{}:test", "c".repeat(40)));
}
