//! Adaptive sampling from end to end: rounds of samples and tests, and where they end.

use agent::artifact::{Candidate, Execution, Subject};
use agent::stage::rerank::should_stop;

use crate::harness::{Place, Ran, SAMPLES, json, rows};

fn solve(place: &Place, run: &str, settings: &[&str]) -> Ran {
    let common = ["solve", "--instance", SAMPLES[0], "-o", run, "--sandbox", "local"];
    place.ok(&[&common[..], settings].concat())
}

fn read<T: serde::de::DeserializeOwned>(place: &Place, run: &str, file: &str) -> Vec<T> {
    let path = place.path(&format!("{run}/{}/{file}", SAMPLES[0]));
    rows(&path).into_iter().map(|row| serde_json::from_value(row).unwrap()).collect()
}

fn first(
    candidates: &[Candidate],
    executions: &[Execution],
    samples: u32,
) -> (Vec<Candidate>, Vec<Execution>) {
    let drawn: Vec<Candidate> = candidates.iter().filter(|c| c.sample < samples).cloned().collect();
    let rows = executions.iter().filter(|row| match row.subject {
        Subject::Candidate(id) => drawn.iter().any(|candidate| candidate.id == id),
        _ => true,
    });
    (drawn.clone(), rows.cloned().collect())
}

#[test]
fn sampling_ends_at_the_first_round_after_which_the_rule_says_so() {
    let place = Place::new();
    let mut counts = Vec::new();
    for confidence in [0.0, 0.8, 0.9, 0.97] {
        let run = format!("run-{confidence}");
        let confidence_text = confidence.to_string();
        let settings = ["--confidence", &confidence_text, "--set", "adaptive.round=2"];
        let said = solve(&place, &run, &settings);
        let candidates: Vec<Candidate> = read(&place, &run, "candidates.jsonl");
        let executions: Vec<Execution> = read(&place, &run, "executions.jsonl");
        let stops = |samples: u32| {
            let (candidates, executions) = first(&candidates, &executions, samples);
            should_stop(&candidates, &executions, 10 - samples as usize, confidence).stop
        };
        let drawn = candidates.len() as u32;
        counts.push(drawn);
        assert!(drawn.is_multiple_of(2) && (2..=10).contains(&drawn), "{drawn} at {confidence}");
        for samples in (2..drawn).step_by(2) {
            assert!(!stops(samples), "{confidence}: went on after {samples}");
        }
        assert!(drawn == 10 || stops(drawn), "{confidence}: stopped after {drawn}");
        let told = said.stderr.contains("of 10 samples saved");
        assert_eq!(told, drawn < 10, "{}", said.stderr);
        // What was drawn is tested: a row for every script and every class.
        let tested =
            |c: &Candidate| executions.iter().any(|row| row.subject == Subject::Candidate(c.id));
        let mut classes: Vec<&str> =
            candidates.iter().filter(|c| c.is_ok()).map(|c| c.class.as_str()).collect();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(candidates.iter().filter(|c| tested(c)).count(), classes.len());
    }
    assert!(counts.is_sorted() && counts[0] < 10, "{counts:?}");
}

#[test]
fn all_samples_give_what_a_run_without_rounds_gives_and_ask_for_the_missing_ones_only() {
    let place = Place::new();
    solve(&place, "whole", &[]);
    solve(&place, "grown", &["--confidence", "0"]);
    let events = rows(&place.path("grown/events.jsonl")).len();
    solve(&place, "grown", &["--confidence", "1"]);
    for file in ["candidates.jsonl", "ranking.json"] {
        let read = |run: &str| {
            std::fs::read_to_string(place.path(&format!("{run}/{}/{file}", SAMPLES[0]))).unwrap()
        };
        assert_eq!(read("grown"), read("whole"), "{file}");
    }
    let new = rows(&place.path("grown/events.jsonl")).split_off(events);
    let made: Vec<&str> = new
        .iter()
        .filter(|event| event["event"] == "stage_finished" && event["reused"] == false)
        .map(|event| event["stage"].as_str().unwrap())
        .collect();
    assert_eq!(made, ["repair", "execute", "rerank"]);
}

#[test]
fn no_command_for_one_stage_draws_half_of_an_adaptive_run() {
    let place = Place::new();
    solve(&place, "run", &["--confidence", "0"]);
    let outcome = || json(&place.path(&format!("run/{}/outcome.json", SAMPLES[0])));
    let before = outcome();
    let refused = place.agent(&["repair", "run", "--replay"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("--confidence 1"), "{}", refused.stderr);
    assert_eq!(outcome(), before);
    // The other stages' commands work on it as on any run.
    for stage in ["reproduce", "execute", "rerank"] {
        place.ok(&[stage, "run", "--replay", "--sandbox", "local"]);
    }
    assert_eq!(outcome(), before);
}
