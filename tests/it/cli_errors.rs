//! Bad input: a clear message that names file, line or field and the way out, the documented exit
//! code, and nothing lost.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::harness::{Place, Ran, SAMPLES, git, json, sample, sample_repository};

/// Exit code and standard error.
fn shown(place: &Place, ran: &Ran) -> String {
    format!("exit {}\n{}", ran.code.unwrap(), place.redact(&ran.stderr))
}

fn fails(place: &Place, args: &[&str]) -> String {
    let ran = place.agent(args);
    assert_eq!(ran.stdout, "", "standard output is the product only");
    shown(place, &ran)
}

#[test]
fn an_unknown_setting_suggests_the_nearest() {
    let place = Place::new();
    insta::assert_snapshot!(fails(&place, &["run", "--set", "repair.sample=3"]));
    place.write("a.toml", "[repair]\nsamples = \"ten\"\n");
    insta::assert_snapshot!(fails(&place, &["run", "--config", "a.toml"]));
}

#[test]
fn an_unknown_instance_suggests_the_nearest() {
    let place = Place::new();
    insta::assert_snapshot!(fails(&place, &["solve", "--instance", "sample__cadence-1"]));
}

#[test]
fn without_an_endpoint_the_way_out_is_named() {
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLES[0], "mine");
    assert!(repo.exists());
    place.write("issue.md", "It crashes\n");
    insta::assert_snapshot!(fails(&place, &["solve", "--repo", "mine", "--issue", "issue.md"]));
}

#[test]
fn a_malformed_row_is_named_by_file_line_and_field() {
    let place = Place::new();
    let good = r#"{"instance_id":"a__b-1","repo":"a/b","base_commit":"0000000000000000000000000000000000000000","problem_statement":"x"}"#;
    let bad = good.replace("a__b-1", "a__b-2").replace("\"x\"", "7");
    place.write("rows.jsonl", &format!("{good}\n{bad}\n"));
    insta::assert_snapshot!(fails(&place, &["run", "rows.jsonl"]));
    place.write("torn.jsonl", &format!("{good}\n{}\n", &bad[..40]));
    insta::assert_snapshot!(fails(&place, &["run", "torn.jsonl"]));
}

#[test]
fn nothing_selected_has_an_exit_code_of_its_own() {
    let place = Place::new();
    insta::assert_snapshot!(fails(&place, &["run", "sample", "--filter", "nothing"]));
}

#[test]
fn a_refused_connection_fails_the_instance_as_infra() {
    let place = Place::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/v1");
    insta::assert_snapshot!(fails(
        &place,
        &[
            "solve",
            "--instance",
            SAMPLES[0],
            "--base-url",
            &url,
            "--model",
            "m",
            "-o",
            "run",
            "--set",
            "model.max_attempts=1",
            "--sandbox",
            "local",
            "--color",
            "never",
        ]
    ));
    let outcome = json(&place.path(&format!("run/{}/outcome.json", SAMPLES[0])));
    assert_eq!((&outcome["status"], &outcome["cause"]), (&"failed".into(), &"infra".into()));
    assert!(std::fs::read_to_string(place.path("run/predictions.jsonl")).unwrap().is_empty());
}

/// A server that gives every request the same answer.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut buffer = [0; 65536];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn refusals_and_garbage_are_told_apart() {
    for (answer, expected) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\nconnection: close\r\n\r\nbad token",
            "OPENAI_API_KEY",
        ),
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 16\r\nconnection: close\r\n\r\nno such model: m",
            "a name that it serves",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 19\r\nconnection: close\r\n\r\n<html>hello</html>\n",
            "OpenAI-compatible endpoint",
        ),
    ] {
        let place = Place::new();
        let url = answering(answer);
        let ran = place.agent(&[
            "solve",
            "--instance",
            SAMPLES[0],
            "--base-url",
            &url,
            "--model",
            "m",
            "-o",
            "run",
            "--set",
            "model.max_attempts=1",
            "--sandbox",
            "local",
        ]);
        assert_eq!(ran.code, Some(3), "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    }
}

#[test]
fn the_api_key_is_never_shown_or_stored() {
    const KEY: &str = "sk-zebra-quagga-okapi";
    let place = Place::new();
    let url = answering(
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 25\r\nconnection: close\r\n\r\nbad sk-zebra-quagga-okapi",
    );
    let output = place
        .command(&[
            "solve",
            "--instance",
            SAMPLES[0],
            "--base-url",
            &url,
            "--model",
            "m",
            "-o",
            "run",
            "--set",
            "model.max_attempts=1",
            "--sandbox",
            "local",
            "-v",
        ])
        .env("OPENAI_API_KEY", KEY)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains(KEY), "{stderr}");
    let found = std::process::Command::new("grep")
        .args(["-r", KEY, "run"])
        .current_dir(place.dir())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn a_missing_commit_or_repository_names_what_mends_it() {
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLES[0], "repos/a__b");
    let head = git(&repo, &["rev-parse", "HEAD"]);
    let row = |id: &str, repo: &str, commit: &str| {
        format!(
            "{{\"instance_id\":\"{id}\",\"repo\":\"{repo}\",\"base_commit\":\"{commit}\",\"problem_statement\":\"x\"}}\n"
        )
    };
    let gone = "1".repeat(40);
    place.write("rows.jsonl", &(row("a__b-1", "a/b", &gone) + &row("c__d-1", "c/d", head.trim())));
    let replies = sample(SAMPLES[0], "replies.jsonl");
    let ran = place.agent(&[
        "run",
        "rows.jsonl",
        "--repos",
        "repos",
        "-o",
        "run",
        "--sandbox",
        "local",
        "--set",
        "repos.url=",
        "--replay",
        replies.to_str().unwrap(),
        "-j",
        "1",
        "--color",
        "never",
    ]);
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains(&gone) && ran.stderr.contains("fetch origin"), "{}", ran.stderr);
    assert!(ran.stderr.contains("c/d is not in"), "{}", ran.stderr);
}

#[test]
fn an_empty_issue_is_refused() {
    let place = Place::new();
    sample_repository(&place, SAMPLES[0], "mine");
    place.write("issue.md", " \r\n\n");
    insta::assert_snapshot!(fails(&place, &["solve", "--repo", "mine", "--issue", "issue.md"]));
    insta::assert_snapshot!(fails(&place, &["solve", "--repo", "mine", "--issue", "nothing.md"]));
}

#[test]
fn an_issue_of_a_megabyte_is_no_trouble() {
    let place = Place::new();
    sample_repository(&place, SAMPLES[1], "mine");
    let issue = std::fs::read_to_string(sample(SAMPLES[1], "issue.md")).unwrap();
    place.write("issue.md", &(issue + &"at reconcile line 12 of module x ".repeat(32_000)));
    let replies = sample(SAMPLES[1], "replies.jsonl");
    let ran = place.ok(&[
        "solve",
        "--repo",
        "mine",
        "--issue",
        "issue.md",
        "--sandbox",
        "local",
        "-o",
        "run",
        "--replay",
        replies.to_str().unwrap(),
    ]);
    assert!(ran.stdout.starts_with("diff --git"));
}

#[test]
fn usage_errors_have_exit_code_2() {
    let place = Place::new();
    for args in [
        &["solve"][..],
        &["solve", "--instance", "x", "--repo", "."],
        &["run", "--shard", "3/2"],
        &["explain", "nowhere", "a__b-1"],
        &["run", "verifyed"],
        &["run", "sample", "--prompts", "/nowhere"],
        &["evaluate", "sample", "-p", "nothing.jsonl"],
    ] {
        let ran = place.agent(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error:"), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn a_full_disk_fails_the_instance_and_keeps_what_was_saved() {
    // A file system of 200 kB; needs root, as CI has it.
    let place = Place::new();
    let small = place.path("small");
    std::fs::create_dir(&small).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=200k", "tmpfs"])
        .arg(&small)
        .output()
        .is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    }
    std::fs::write(small.join("filler"), vec![0; 150_000]).unwrap();
    let args = ["solve", "--instance", SAMPLES[0], "-o", "small/run", "--sandbox", "local"];
    let ran = place.agent(&args);
    std::fs::remove_file(small.join("filler")).unwrap();
    std::fs::write(small.join("filler"), vec![0; 1000]).unwrap();
    let again = place.agent(&args);
    std::process::Command::new("umount").arg(&small).output().unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    assert_eq!(again.code, Some(0), "with room again: {}", again.stderr);
}
