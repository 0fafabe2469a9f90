//! Runs that survive anything: kill -9 at random points, a daemon that goes away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::harness::{Place, SAMPLES, json, rows, sample, sample_repository};
use crate::standin::{Standin, StandinConfig, Wrap};

/// Rows of two bundled instances with a repository and a gold patch each, for the stand-in.
pub(crate) fn dataset(place: &Place) -> PathBuf {
    let mut lines = String::new();
    for instance in &SAMPLES[..2] {
        let row = json(&sample(instance, "instance.json"));
        let name = row["repo"].as_str().unwrap();
        let repo =
            sample_repository(place, instance, &format!("repos/{}", name.replace('/', "__")));
        let row = serde_json::json!({
            "instance_id": instance,
            "repo": name,
            "base_commit": crate::harness::git(&repo, &["rev-parse", "HEAD"]).trim(),
            "problem_statement": std::fs::read_to_string(sample(instance, "issue.md")).unwrap(),
            "patch": std::fs::read_to_string(sample(instance, "gold.patch")).unwrap(),
            "test_command": row["test_command"],
            "log_format": row["log_format"],
        });
        lines.push_str(&row.to_string());
        lines.push('\n');
    }
    place.write("rows.jsonl", &lines)
}

/// Scripts for the stand-in, taken from the recorded replies: those of `truth.json` are good.
pub(crate) fn scripts(place: &Place) -> PathBuf {
    for instance in &SAMPLES[..2] {
        let truth = json(&sample(instance, "truth.json"));
        for reply in rows(&sample(instance, "replies.jsonl")) {
            let Some(content) = reply["content"].as_str().filter(|_| reply["call"] == "reproduce")
            else {
                continue;
            };
            let script = content.split("```python\n").nth(1).and_then(|t| t.split("\n```").next());
            let good = truth["good_tests"].as_array().unwrap().contains(&reply["sample"]);
            if let Some(script) = script.filter(|_| good) {
                let file = format!("scripts/{instance}/good{}.py", reply["sample"]);
                place.write(&file, script);
            }
        }
    }
    place.path("scripts")
}

/// The files that must not depend on how often a run was killed.
pub(crate) fn results(place: &Place, run: &str) -> BTreeMap<String, String> {
    results_of(place, run, &SAMPLES[..2])
}

/// As [`results`], of these instances.
pub(crate) fn results_of(
    place: &Place,
    run: &str,
    instances: &[impl AsRef<str>],
) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    let read = |path: &str| std::fs::read_to_string(place.path(path)).unwrap();
    for file in ["predictions.jsonl", "predictions.json"] {
        results.insert(file.to_owned(), read(&format!("{run}/{file}")));
    }
    for instance in instances.iter().map(AsRef::as_ref) {
        for file in ["localization.json", "candidates.jsonl", "tests.jsonl", "ranking.json"] {
            let path = format!("{instance}/{file}");
            results.insert(path.clone(), read(&format!("{run}/{path}")));
        }
        // The wall time of a test is not the same twice.
        let outcomes: String = rows(&place.path(&format!("{run}/{instance}/executions.jsonl")))
            .iter()
            .map(|row| format!("{} {} {}\n", row["candidate"], row["test"], row["outcome"]))
            .collect();
        results.insert(format!("{instance}/executions"), outcomes);
    }
    results
}

/// How often each test was reported as run on each candidate.
pub(crate) fn repeated_executions(place: &Place, run: &str) -> Vec<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in rows(&place.path(&format!("{run}/events.jsonl"))) {
        if event["event"] == "executed" {
            let key = format!("{} {} {}", event["instance"], event["candidate"], event["test"]);
            *counts.entry(key).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, n)| *n > 1).map(|(key, n)| format!("{key}: {n}")).collect()
}

/// Replies that were asked for and tests that ran, as the run's events tell them.
pub(crate) fn progress(place: &Place, run: &str) -> usize {
    let done =
        |event: &serde_json::Value| event["event"] == "executed" || event["journaled"] == false;
    rows(&place.path(&format!("{run}/events.jsonl"))).iter().filter(|event| done(event)).count()
}

/// Splitmix64: a spread of kill times that is the same in every run of the test.
pub(crate) fn spread(index: u64) -> u64 {
    let mut z = index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_twenty_points_a_run_ends_the_same_and_repeats_nothing() {
    killed(20, &["--samples", "8"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_eight_points_an_adaptive_run_stops_where_it_would_have() {
    let place =
        killed(8, &["--samples", "24", "--confidence", "0.97", "--set", "adaptive.round=3"]).await;
    let drawn =
        |instance: &str| rows(&place.path(&format!("rough/{instance}/candidates.jsonl"))).len();
    let drawn: Vec<usize> = SAMPLES[..2].iter().map(|instance| drawn(instance)).collect();
    assert!(drawn.iter().all(|&n| n < 24) && drawn.iter().any(|&n| n > 3), "{drawn:?}");
}

/// A run that is killed so often, beside one that is not.
async fn killed(points: u64, settings: &[&str]) -> Place {
    let place = Place::new();
    let dataset = dataset(&place);
    let start = || {
        Standin::start(StandinConfig {
            datasets: vec![dataset.clone()],
            scripts: Some(place.path("scripts")),
            latency: Duration::from_millis(30),
            seed: 3,
            ..StandinConfig::default()
        })
    };
    scripts(&place);
    let args = |run: &'static str, url: &str| -> Vec<String> {
        [
            "run",
            "rows.jsonl",
            "--repos",
            "repos",
            "--sandbox",
            "local",
            "-o",
            run,
            "--base-url",
            url,
            "--tests",
            "6",
            "-j",
            "2",
            "--set",
            "model.concurrency=1",
        ]
        .iter()
        .chain(settings)
        .map(|&argument| argument.to_owned())
        .collect()
    };
    let as_str = |args: &[String]| -> Vec<String> { args.to_vec() };

    let calm = start().await.unwrap();
    let calm_args = as_str(&args("calm", &calm.base_url()));
    place.ok(&calm_args.iter().map(String::as_str).collect::<Vec<_>>());
    let whole = progress(&place, "calm");
    let asked = calm.stats().answered;

    let standin = start().await.unwrap();
    let rough_args = args("rough", &standin.base_url());
    let rough_args: Vec<&str> = rough_args.iter().map(String::as_str).collect();
    let mut kills = 0;
    for point in 0..points {
        let mut child = place.spawn(&rough_args);
        // By progress, not by the clock, which a busy machine stretches: each time up to a
        // part of a whole run is let through, so that the kills spread over all stages.
        let share = whole as f64 * 1.4 / points as f64 * (spread(point) as f64 / u64::MAX as f64);
        let until = progress(&place, "rough") + share as usize;
        while progress(&place, "rough") < until && child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(spread(point + 100) % 150)).await;
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    place.ok(&rough_args);

    assert!(kills >= points / 2, "only {kills} of {points} kills met a running process");
    assert_eq!(results(&place, "rough"), results(&place, "calm"));
    assert_eq!(repeated_executions(&place, "rough"), Vec::<String>::new());
    // With one request under way at a time, a kill can lose at most that one.
    let again = standin.stats().answered;
    assert!(again <= asked + kills, "{again} answers for {asked} samples and {kills} kills");
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_can_be_made_again_from_its_journal_without_a_model() {
    let place = Place::new();
    let datasets = vec![dataset(&place)];
    let scripts = Some(scripts(&place));
    let config = StandinConfig { datasets, scripts, seed: 5, ..StandinConfig::default() };
    let standin = Standin::start(config).await.unwrap();
    let url = standin.base_url();
    let common = [
        "run",
        "rows.jsonl",
        "--repos",
        "repos",
        "--sandbox",
        "local",
        "--samples",
        "6",
        "--tests",
        "4",
        "-o",
    ];
    let with = |more: &[&str]| place.ok(&[&common[..], more].concat());
    with(&["first", "--base-url", &url]);
    let asked = standin.stats().requests;
    drop(standin);
    with(&["second", "--replay", "first"]);
    assert_eq!(results(&place, "second"), results(&place, "first"));
    // The run's own journal, after everything made from it is gone.
    for instance in &SAMPLES[..2] {
        std::fs::remove_file(place.path(&format!("first/{instance}/stages.json"))).unwrap();
    }
    with(&["first", "--replay"]);
    assert_eq!(results(&place, "second"), results(&place, "first"));
    assert!(asked > 0);
}

/// Strict reading sees what the model wrote, tags included, and rejects what lacks them; a replay of
/// answers that were read tolerantly reads them so too.
#[tokio::test(flavor = "multi_thread")]
async fn strict_reading_takes_tagged_answers_only() {
    let place = Place::new();
    let datasets = vec![dataset(&place)];
    let strict = ["--set", "repair.reading=strict"];
    let candidates = |run: &str| -> Vec<serde_json::Value> {
        let of = |id: &&str| rows(&place.path(&format!("{run}/{id}/candidates.jsonl")));
        SAMPLES[..2].iter().flat_map(of).collect()
    };
    let mut found = Vec::new();
    for wrap in [Wrap::Tags, Wrap::Plain] {
        let datasets = datasets.clone();
        let config = StandinConfig { datasets, wrap, seed: 5, ..StandinConfig::default() };
        let standin = Standin::start(config).await.unwrap();
        let url = standin.base_url();
        let run = |name: &str, more: &[&str]| {
            let args = ["run", "rows.jsonl", "--repos", "repos", "--sandbox", "local", "-o", name];
            let model = ["--base-url", &url, "--samples", "8", "--tests", "0"];
            let regression = ["--set", "execute.regression=none"];
            place.agent(&[&args[..], &model, &regression, more].concat());
        };
        let (tolerant, asked_strictly, replayed) =
            (format!("{wrap:?}"), format!("{wrap:?}-strict"), format!("{wrap:?}-replayed"));
        run(&tolerant, &[]);
        run(&asked_strictly, &strict);
        drop(standin);
        let replay = ["replay", &tolerant, "-o", &replayed, "--repos", "repos"];
        place.agent(&[&replay[..], &strict].concat());
        let all = candidates(&asked_strictly);
        assert_eq!(all.len(), 16);
        assert_eq!(candidates(&replayed), all);
        assert_ne!(candidates(&tolerant), all);
        let valid = |c: &&serde_json::Value| c["status"] == "ok" && c["rules"][0] == "strict";
        let untagged =
            |c: &&serde_json::Value| c["reason"].as_str().unwrap_or("").starts_with("no_solution");
        found.push((all.iter().filter(valid).count(), all.iter().filter(untagged).count()));
    }
    assert!(found[0].0 > 4, "{found:?}");
    assert_eq!(found[1], (0, 16));
}

#[cfg(unix)]
mod daemon {
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use crate::harness::{Place, SAMPLES, docker, json, rows};

    fn pump(mut from: UnixStream, mut to: UnixStream, gone: &AtomicBool) {
        let mut buffer = [0; 16384];
        while let Ok(n) = from.read(&mut buffer) {
            if n == 0 || gone.load(Ordering::SeqCst) || to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    }

    #[test]
    fn a_daemon_that_goes_away_is_infra_and_the_rerun_finishes() {
        if !docker() {
            return;
        }
        let place = Place::new();
        let socket = place.path("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let gone = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&gone);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(client) = stream else { return };
                if seen.load(Ordering::SeqCst) {
                    continue;
                }
                let engine = UnixStream::connect("/var/run/docker.sock").unwrap();
                let pair = (client.try_clone().unwrap(), engine.try_clone().unwrap());
                let flags = (Arc::clone(&seen), Arc::clone(&seen));
                std::thread::spawn(move || pump(client, engine, &flags.0));
                std::thread::spawn(move || pump(pair.1, pair.0, &flags.1));
            }
        });

        let args = ["solve", "--instance", SAMPLES[0], "-o", "run", "--sandbox", "docker"];
        let mut child = place
            .command(&args)
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let executions = place.path(&format!("run/{}/executions.jsonl", SAMPLES[0]));
        while rows(&executions).len() < 10 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        gone.store(true, Ordering::SeqCst);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(3));
        let outcome = json(&place.path(&format!("run/{}/outcome.json", SAMPLES[0])));
        assert_eq!((&outcome["status"], &outcome["cause"]), (&"failed".into(), &"infra".into()));
        let kept = rows(&executions).len();
        assert!(kept >= 10, "{kept} rows are kept");

        place.ok(&args);
    }
}
