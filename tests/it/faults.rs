//! Fifty instances through a hundred random faults: kills of the process, restarts of the daemon, and
//! a server that refuses, breaks off, hangs and talks nonsense. Nothing is lost and nothing doubled.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, nothing_is_left};
use crate::harness::{Place, SAMPLES, copy_dir, journal, rows};
use crate::standin::{Ordered, Standin, StandinConfig};
use crate::survival::{dataset, progress, repeated_executions, results_of, scripts, spread};

const INSTANCES: u64 = 50;
const KILLS: u64 = 34;
const RESTARTS: [&str; 6] = ["-TERM", "-KILL", "-TERM", "-KILL", "-TERM", "-KILL"];
/// What the server does, each so often.
const TROUBLES: [(&str, u64); 6] =
    [("429", 12), ("500", 12), ("hang", 9), ("html", 9), ("truncated", 9), ("drop", 9)];
const SAMPLES_EACH: u64 = 4;
const TESTS_EACH: u64 = 3;

/// Rows and scripts for many instances, made of the bundled ones.
fn many(place: &Place) -> Vec<String> {
    dataset(place);
    scripts(place);
    let templates = rows(&place.path("rows.jsonl"));
    let (mut ids, mut lines) = (Vec::new(), String::new());
    for number in 0..INSTANCES {
        let which = usize::try_from(number).unwrap() % templates.len();
        let id = format!("{}{number:02}", SAMPLES[which]);
        let mut row = templates[which].clone();
        row["instance_id"] = json!(id);
        lines.push_str(&row.to_string());
        lines.push('\n');
        let from = place.path(&format!("scripts/{}", SAMPLES[which]));
        copy_dir(&from, &place.path(&format!("scripts/{id}")));
        ids.push(id);
    }
    place.write("many.jsonl", &lines);
    ids
}

/// Troubles at as many different requests, spread over instances, stages and samples.
fn troubles(ids: &[String]) -> Vec<Ordered> {
    let mut met = std::collections::BTreeSet::new();
    let (mut orders, mut draw) = (Vec::new(), 1000);
    for (kind, times) in TROUBLES {
        for _ in 0..times {
            let place = loop {
                draw += 1;
                let instance = &ids[usize::try_from(spread(draw) % INSTANCES).unwrap()];
                let (stage, samples) = [("repair", SAMPLES_EACH), ("reproduce", TESTS_EACH)]
                    [usize::try_from(spread(draw + 5000) % 2).unwrap()];
                let place = format!("{instance}/{stage}:{}", spread(draw + 9000) % samples);
                if met.insert(place.clone()) {
                    break place;
                }
            };
            orders.push(format!("{kind}@{place}").parse().unwrap());
        }
    }
    orders
}

async fn model(place: &Place, ordered: Vec<Ordered>) -> Standin {
    let config = StandinConfig {
        datasets: vec![place.path("many.jsonl")],
        scripts: Some(place.path("scripts")),
        seed: 3,
        ordered,
        retry_after: 0.05,
        ..StandinConfig::default()
    };
    Standin::start(config).await.unwrap()
}

/// Replies that stand more than once in a run's journals, by what they answer.
fn doubled_replies(place: &Place, run: &str, ids: &[String]) -> (usize, Vec<String>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for id in ids {
        for line in journal(&place.path(&format!("{run}/{id}"))) {
            if line["type"] == "reply" {
                let key = format!("{id} {} {}", line["call"], line["sample"]);
                *counts.entry(key).or_default() += 1;
            }
        }
    }
    let all = counts.len();
    (all, counts.into_iter().filter(|(_, n)| *n > 1).map(|(key, _)| key).collect())
}

/// Outcomes in a run's event log that an instance had after it had been finished well.
fn finished_twice(place: &Place, run: &str) -> Vec<String> {
    let mut solved: BTreeMap<String, usize> = BTreeMap::new();
    for event in rows(&place.path(&format!("{run}/events.jsonl"))) {
        let well = |outcome: &Value| outcome["status"] == "solved" || outcome == "solved";
        if event["event"] == "instance_finished" && well(&event["outcome"]) {
            *solved.entry(event["instance"].to_string()).or_default() += 1;
        }
    }
    solved.into_iter().filter(|(_, n)| *n > 1).map(|(id, _)| id).collect()
}

/// Where the blows fall, in steps of the whole run, and the signal for the daemon. Each step is done
/// once, so that all of them fall before the end.
fn blows(whole: u64, daemon: bool) -> Vec<(u64, Option<&'static str>)> {
    let mut blows: Vec<_> = (0..KILLS).map(|n| (spread(n) % (whole * 9 / 10), None)).collect();
    let restarts = RESTARTS.iter().zip(1..);
    blows.extend(restarts.map(|(signal, n)| (whole * n / 8, daemon.then_some(*signal))));
    blows.sort_unstable();
    blows
}

/// Runs a command until it ends well, so often at most.
fn through(command: impl Fn() -> Command, most: usize) {
    let mut said = String::new();
    for _ in 0..most {
        let ran = command().stderr(Stdio::piped()).output().unwrap();
        if ran.status.success() {
            return;
        }
        said = String::from_utf8_lossy(&ran.stderr).into_owned();
    }
    panic!("{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_instances_survive_a_hundred_faults_and_end_as_without() {
    let mut daemon = Daemon::start();
    let place = Place::new();
    let ids = many(&place);
    std::fs::create_dir(place.path("tmp")).unwrap();
    let command = |run: &str, url: &str, daemon: Option<&Daemon>| {
        let sandbox = if daemon.is_some() { "docker" } else { "local" };
        let mut command = place.command(&["run", "many.jsonl", "--repos", "repos", "-o", run]);
        command
            .args(["--sandbox", sandbox, "--base-url", url, "-j", "4"])
            .args(["--samples", &SAMPLES_EACH.to_string(), "--tests", &TESTS_EACH.to_string()])
            .args(["--set", "model.timeout=2", "--set", "execute.regression=none"])
            .env("TMPDIR", place.path("tmp"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some(daemon) = daemon {
            command.env("DOCKER_HOST", daemon.host());
        }
        command
    };

    let calm = model(&place, Vec::new()).await;
    through(|| command("calm", &calm.base_url(), daemon.as_ref()), 1);
    let whole = progress(&place, "calm") as u64;
    let (asked, answered) = (calm.stats().requests, calm.stats().answered);

    let standin = model(&place, troubles(&ids)).await;
    let url = standin.base_url();
    let (mut killed, mut restarted) = (0, 0);
    for (at, signal) in blows(whole, daemon.is_some()) {
        let mut child = command("rough", &url, daemon.as_ref()).spawn().unwrap();
        while (progress(&place, "rough") as u64) < at {
            if child.try_wait().unwrap().is_some() {
                // A server's nonsense failed an instance, which the next one mends.
                child = command("rough", &url, daemon.as_ref()).spawn().unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        match (signal, daemon.as_mut()) {
            (Some(signal), Some(daemon)) => {
                daemon.restart(signal);
                restarted += 1;
            }
            _ => killed += usize::from(child.try_wait().unwrap().is_none()),
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    through(|| command("rough", &url, daemon.as_ref()), 10);

    let stats = standin.stats();
    let troubles: u64 = stats.faults.values().sum();
    eprintln!(
        "{} instances, {whole} steps; {killed} kills, {restarted} restarts of the daemon, \
         {troubles} troubles of the server {:?}; calm {asked} requests, {answered} answers; \
         rough {} requests, {} answers",
        ids.len(),
        stats.faults,
        stats.requests,
        stats.answered
    );
    assert_eq!(troubles, TROUBLES.iter().map(|(_, times)| times).sum::<u64>(), "all were met");
    assert_eq!(results_of(&place, "rough", &ids), results_of(&place, "calm", &ids));
    assert_eq!(repeated_executions(&place, "rough"), Vec::<String>::new());
    assert_eq!(finished_twice(&place, "rough"), Vec::<String>::new());
    let (kept, doubled) = doubled_replies(&place, "rough", &ids);
    assert_eq!((kept as u64, doubled), (answered, Vec::new()));
    if let Some(daemon) = &daemon {
        nothing_is_left(daemon, &place, "a whole run").await;
    }
}
