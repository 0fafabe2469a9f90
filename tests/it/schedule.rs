//! What goes on at the same time, and what ends a run early.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Place, Ran, SAMPLES, json, rows};
use crate::standin::{Hold, Standin, StandinConfig};
use crate::survival::{dataset, repeated_executions, results, scripts};

fn arguments<'a>(run: &'a str, url: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let common = ["run", "rows.jsonl", "--repos", "repos", "--sandbox", "local", "-o", run];
    let model = ["--base-url", url, "--samples", "8", "--tests", "6"];
    [&common[..], &model, more].concat()
}

/// Executions on the base commit and on candidates of an instance, by a run's event log.
fn executed(events: &std::path::Path, instance: &str) -> (usize, usize) {
    let rows = rows(events);
    let of =
        |event: &&serde_json::Value| event["event"] == "executed" && event["instance"] == instance;
    let base = rows.iter().filter(of).filter(|event| event["candidate"] == "base").count();
    (base, rows.iter().filter(of).count() - base)
}

/// Holds answers until something else happens, which shows that both go on at the same time. What
/// does not happen within a minute never will.
struct Until {
    events: PathBuf,
    began: [std::sync::Mutex<Option<(Instant, usize)>>; 3],
    met: [AtomicUsize; 3],
}

impl Until {
    /// Whether `what` is still to come; `count` is what grows when it comes.
    fn holds(&self, what: usize, count: usize) -> bool {
        let (since, before) =
            *self.began[what].lock().unwrap().get_or_insert_with(|| (Instant::now(), count));
        if count > before {
            self.met[what].store(1, Ordering::SeqCst);
            return false;
        }
        since.elapsed() < Duration::from_secs(60)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_and_requests_of_one_and_of_several_instances_go_on_at_the_same_time() {
    let place = Place::new();
    let (datasets, scripts) = (vec![dataset(&place)], Some(scripts(&place)));
    let until = Arc::new(Until {
        events: place.path("run/events.jsonl"),
        began: Default::default(),
        met: Default::default(),
    });
    let own = Arc::clone(&until);
    let hold = Hold(Arc::new(move |instance, stage, sample| {
        let count = || executed(&own.events, SAMPLES[0]);
        match (instance == SAMPLES[0], stage, sample) {
            // Scripts run while others are still being drawn, and while repairs are.
            (true, "reproduce", 5) => own.holds(0, count().0),
            (true, "repair", 0) => own.holds(1, count().0),
            // The other instance asks while this one executes.
            (false, "repair", 0) => own.holds(2, count().1),
            _ => false,
        }
    }));
    let config = StandinConfig { datasets, scripts, seed: 3, ..StandinConfig::default() };
    let standin = Standin::start(StandinConfig { hold: Some(hold), ..config }).await.unwrap();
    let url = standin.base_url();
    let ran = place.ok(&arguments("run", &url, &["-j", "1", "--verbose"]));
    let met: Vec<usize> = until.met.iter().map(|met| met.load(Ordering::SeqCst)).collect();
    assert_eq!(met, [1, 1, 1], "{}", ran.stderr);
}

/// Tokens that a run's requests have cost.
fn spent(place: &Place, run: &str) -> u64 {
    let events = rows(&place.path(&format!("{run}/events.jsonl")));
    let asked = events.iter().filter(|event| event["journaled"] == false);
    let of = |usage: &serde_json::Value, name: &str| usage[name].as_u64().unwrap();
    asked
        .map(|event| &event["usage"])
        .map(|usage| of(usage, "prompt_tokens") + of(usage, "completion_tokens"))
        .sum()
}

fn causes(place: &Place, run: &str) -> Vec<String> {
    let outcome = |id: &&str| place.path(&format!("{run}/{id}/outcome.json"));
    let there = SAMPLES[..2].iter().map(outcome).filter(|path| path.exists());
    there.map(|path| json(&path)["cause"].as_str().unwrap_or("").to_owned()).collect()
}

fn ended_early(ran: &Ran, place: &Place, run: &str, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for words in words {
        assert!(ran.stderr.contains(words), "no {words:?} in {}", ran.stderr);
    }
    assert!(place.path(&format!("{run}/predictions.jsonl")).exists());
    let causes = causes(place, run);
    assert!(causes.iter().all(|cause| cause.is_empty() || cause == "budget"), "{causes:?}");
}

fn asked_once(standin: &Standin) {
    let twice: Vec<_> = standin.stats().samples.into_iter().filter(|s| s.answered != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_runs_out_of_tokens_goes_on_with_more_and_ends_as_one_without_limit() {
    let place = Place::new();
    let (datasets, scripts) = (vec![dataset(&place)], Some(scripts(&place)));
    let config = StandinConfig {
        datasets,
        scripts,
        seed: 3,
        latency: Duration::from_millis(20),
        ..StandinConfig::default()
    };
    let calm = Standin::start(config.clone()).await.unwrap();
    place.ok(&arguments("calm", &calm.base_url(), &[]));
    let whole = spent(&place, "calm");

    let standin = Standin::start(config).await.unwrap();
    let url = standin.base_url();
    let few = ["--concurrency", "2"];
    let limit = (whole / 2).to_string();
    let with = |limit: &str| {
        place.agent(&arguments("run", &url, &[&few[..], &["--max-tokens-total", limit]].concat()))
    };
    let hints = ["the limit of", "instances are left", "higher --max-tokens-total"];
    ended_early(&with(&limit), &place, "run", &hints);
    let first = spent(&place, "run");
    // Two requests may have been under way when the limit was reached.
    let most = rows(&place.path("run/events.jsonl"))
        .iter()
        .filter_map(|event| {
            let usage = &event["usage"];
            Some(usage["prompt_tokens"].as_u64()? + usage["completion_tokens"].as_u64()?)
        })
        .max()
        .unwrap();
    assert!(first <= whole / 2 + 2 * most, "{first} of {whole}, one request up to {most}");
    assert!(first + 2 * most >= whole / 2, "{first} of {whole}");
    let asked = standin.stats().requests;
    // What the directory has cost counts.
    ended_early(&with(&first.to_string()), &place, "run", &hints);
    assert_eq!(standin.stats().requests, asked);
    let ran = with(&(whole * 2).to_string());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(results(&place, "run"), results(&place, "calm"));
    assert_eq!(repeated_executions(&place, "run"), Vec::<String>::new());
    asked_once(&standin);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_meets_deadline_after_deadline_ends_as_one_without() {
    let place = Place::new();
    let (datasets, folder) = (vec![dataset(&place)], scripts(&place));
    // Deadlines are to fall into executions, too.
    for instance in &SAMPLES[..2] {
        for file in std::fs::read_dir(folder.join(instance)).unwrap() {
            let path = file.unwrap().path();
            let script = std::fs::read_to_string(&path).unwrap();
            std::fs::write(&path, format!("import time\ntime.sleep(0.4)\n{script}")).unwrap();
        }
    }
    let config = StandinConfig {
        datasets,
        scripts: Some(folder),
        seed: 3,
        latency: Duration::from_millis(150),
        ..StandinConfig::default()
    };
    let calm = Standin::start(config.clone()).await.unwrap();
    place.ok(&arguments("calm", &calm.base_url(), &[]));

    let standin = Standin::start(config).await.unwrap();
    let url = standin.base_url();
    let mut stages = Vec::new();
    // Each gets a second more, so that a slow machine comes to the end too.
    for seconds in 1.. {
        let deadline = format!("{seconds}s");
        let more = ["--concurrency", "2", "-j", "1", "--deadline", &deadline];
        let ran = place.agent(&arguments("run", &url, &more));
        if ran.code == Some(0) {
            break;
        }
        ended_early(&ran, &place, "run", &["the deadline", "a later --deadline"]);
        for id in &SAMPLES[..2] {
            let path = place.path(&format!("run/{id}/outcome.json"));
            stages.extend(path.exists().then(|| json(&path)["stage"].to_string()));
        }
    }
    assert!(stages.iter().any(|stage| stage.contains("execute")), "{stages:?}");
    assert_eq!(results(&place, "run"), results(&place, "calm"));
    assert_eq!(repeated_executions(&place, "run"), Vec::<String>::new());
    asked_once(&standin);
}

#[test]
fn deadlines_that_cannot_be_met_or_read_are_refused() {
    let place = Place::new();
    for (deadline, words) in [("2020-01-01T00:00:00Z", "is over"), ("soon", "8h, 90m")] {
        let args = ["run", "sample", "-o", "run", "--sandbox", "local", "--deadline", deadline];
        let ran = place.agent(&args);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}
