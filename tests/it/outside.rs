//! Where the outside is missing or odd: images, repositories, issue trackers, interrupts.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Place, SAMPLES, docker, git, json, rows, sample, sample_repository};

/// One row of a dataset of its own.
fn row(instance: &str, repo: &str, commit: &str, image: Option<&str>) -> String {
    let issue = std::fs::read_to_string(sample(instance, "issue.md")).unwrap();
    let row = serde_json::json!({
        "instance_id": instance, "repo": repo, "base_commit": commit, "image": image,
        "problem_statement": issue,
    });
    format!("{row}\n")
}

#[test]
fn a_missing_image_fails_the_instance_as_infra_and_names_what_mends_it() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLES[1], "repos/a__b");
    let commit = git(&repo, &["rev-parse", "HEAD"]);
    let name = "localhost:1/nothing/here:latest";
    place.write("rows.jsonl", &row(SAMPLES[1], "a/b", commit.trim(), Some(name)));
    let replies = sample(SAMPLES[1], "replies.jsonl");
    let ran = place.agent(&[
        "solve",
        "--instance",
        SAMPLES[1],
        "--dataset",
        "rows.jsonl",
        "--repos",
        "repos",
        "-o",
        "run",
        "--sandbox",
        "docker",
        "--replay",
        replies.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains(name) && ran.stderr.contains("hint:"), "{}", ran.stderr);
    let outcome = json(&place.path(&format!("run/{}/outcome.json", SAMPLES[1])));
    assert_eq!((&outcome["stage"], &outcome["cause"]), (&"reproduce".into(), &"infra".into()));
    // What was paid for is kept.
    assert!(!rows(&place.path(&format!("run/{}/candidates.jsonl", SAMPLES[1]))).is_empty());
}

#[test]
fn a_repository_that_is_nowhere_else_is_taken_from_the_image() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLES[1], "source");
    let commit = git(&repo, &["rev-parse", "HEAD"]);
    let tag = format!("agent-it-export:{}", std::process::id());
    place.ok(&["images", "build", "source", "--tag", &tag, "--install", ""]);
    place.write("rows.jsonl", &row(SAMPLES[1], "a/b", commit.trim(), Some(&tag)));
    let replies = sample(SAMPLES[1], "replies.jsonl");
    let ran = place.agent(&[
        "solve",
        "--instance",
        SAMPLES[1],
        "--dataset",
        "rows.jsonl",
        "--repos",
        "repos",
        "-o",
        "run",
        "--sandbox",
        "docker",
        "--set",
        "repos.url=",
        "--replay",
        replies.to_str().unwrap(),
    ]);
    Command::new("docker").args(["rmi", "-f", &tag]).output().unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("taking the repository from"), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("diff --git"));
}

#[test]
fn an_interrupted_run_keeps_what_is_finished_and_ends_with_130() {
    let place = Place::new();
    let args = ["run", "sample", "-o", "run", "--sandbox", "local", "-j", "1"];
    let mut child = place.spawn(&args);
    let events = place.path("run/events.jsonl");
    let executed = || rows(&events).iter().filter(|event| event["event"] == "executed").count();
    while executed() < 5 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).output().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let before = executed();
    place.ok(&args);
    let mut seen = std::collections::BTreeSet::new();
    for event in rows(&events).iter().filter(|event| event["event"] == "executed") {
        let key = format!("{} {} {}", event["instance"], event["candidate"], event["test"]);
        assert!(seen.insert(key.clone()), "{key} ran twice");
    }
    assert!(before >= 5 && rows(&place.path("run/predictions.jsonl")).len() == SAMPLES.len());
}

/// A server that gives one request one answer, and what it was asked.
fn answer_once(answer: String) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 8192];
        let n = stream.read(&mut buffer).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    });
    (url, thread)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_github_issue_is_read_through_its_api() {
    let place = Place::new();
    sample_repository(&place, SAMPLES[1], "mine");
    let text = std::fs::read_to_string(sample(SAMPLES[1], "issue.md")).unwrap();
    let (title, body) = text.split_once('\n').unwrap();
    let document = serde_json::json!({"title": title, "body": body}).to_string();
    let (api, asked) = answer_once(http("200 OK", &document));
    let replies = sample(SAMPLES[1], "replies.jsonl");
    let output = place
        .command(&[
            "solve",
            "--repo",
            "mine",
            "--issue",
            "https://github.com/o/ledgerly/issues/7",
            "-o",
            "run",
            "--sandbox",
            "local",
            "--replay",
            replies.to_str().unwrap(),
        ])
        .env("GITHUB_API_URL", api)
        .env("GITHUB_TOKEN", "token-of-mine")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let asked = asked.join().unwrap();
    assert!(asked.starts_with("GET /repos/o/ledgerly/issues/7 "), "{asked}");
    assert!(asked.to_lowercase().contains("authorization: bearer token-of-mine"), "{asked}");
    let instance = std::fs::read_dir(place.path("run")).unwrap();
    let instance = instance.map(|e| e.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let statement = json(&instance.join("instance.json"))["problem_statement"].clone();
    assert!(statement.as_str().unwrap().starts_with(title));
}

#[test]
fn a_github_issue_that_cannot_be_had_says_why() {
    let place = Place::new();
    sample_repository(&place, SAMPLES[1], "mine");
    let run = |api: &str, issue: &str| {
        let output = place
            .command(&["solve", "--repo", "mine", "--issue", issue])
            .env("GITHUB_API_URL", api)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let url = "https://github.com/o/r/issues/7";
    let (api, _) = answer_once(http("404 Not Found", "{}"));
    let (code, message) = run(&api, url);
    assert!(code == Some(3) && message.contains("GITHUB_TOKEN"), "{message}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, message) = run(&format!("http://{closed}"), url);
    assert!(code == Some(3) && message.contains("save the issue"), "{message}");
    let (code, message) = run(&api, "https://example.org/browse/ABC-1");
    assert!(code == Some(2) && message.contains("not the URL of a GitHub issue"), "{message}");
}
