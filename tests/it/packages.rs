//! Real packages in Docker against a stand-in model over real HTTP: every instance for which a
//! right candidate and a valid reproduction test were sampled must be resolved, says the grader.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::harness::{Place, docker, json, ran, rows};
use crate::standin::{Rates, Standin, StandinConfig, Stats};

/// Kept between runs of the tests: sources and images are fetched and built once.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("AGENT_TEST_CACHE")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("agent-cache"), PathBuf::from)
}

pub(crate) fn agent(place: &Place, args: &[&str]) -> crate::harness::Ran {
    let output = place.command(args).env("AGENT_CACHE", cache()).output().unwrap();
    ran(output)
}

/// Instances of the run for which a right candidate and a valid reproduction test were sampled.
fn judgeable(place: &Place, stats: &Stats) -> BTreeSet<String> {
    let mut due = BTreeSet::new();
    for prediction in rows(&place.path("run/predictions.jsonl")) {
        let id = prediction["instance_id"].as_str().unwrap().to_owned();
        let dir = place.path(&format!("run/{id}"));
        let of = |stage: &str, kinds: &[&str]| -> BTreeSet<u64> {
            let asked = stats.samples.iter();
            asked
                .filter(|s| {
                    s.instance == id && s.stage == stage && kinds.contains(&s.kind.as_str())
                })
                .map(|s| u64::from(s.sample))
                .collect()
        };
        let right = of("repair", &["right", "mutated"]);
        let good = of("reproduce", &["good"]);
        let has_right = rows(&dir.join("candidates.jsonl"))
            .iter()
            .any(|row| row["status"] == "ok" && right.contains(&row["sample"].as_u64().unwrap()));
        let has_test = rows(&dir.join("tests.jsonl")).iter().any(|row| {
            row["base"] == "reproduced" && good.contains(&row["sample"].as_u64().unwrap())
        });
        if has_right && has_test {
            due.insert(id);
        }
    }
    due
}

#[tokio::test(flavor = "multi_thread")]
async fn the_right_patch_wins_on_every_package_that_has_one() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let built = agent(&place, &["images", "build", "packages"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);

    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let standin = Standin::start(StandinConfig {
        datasets: vec![cache().join("packages/packages.jsonl")],
        scripts: Some(repository.join("evaluation/packages")),
        rates: Rates { right: 0.2, mutated: 0.2, malformed: 0.2, ..Rates::default() },
        seed: 7,
        ..StandinConfig::default()
    })
    .await
    .unwrap();
    let url = standin.base_url();
    let run = agent(
        &place,
        &[
            "run",
            "packages",
            "-o",
            "run",
            "--sandbox",
            "docker",
            "--base-url",
            &url,
            "--samples",
            "12",
            "--tests",
            "8",
            "--color",
            "never",
        ],
    );
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let graded = agent(
        &place,
        &[
            "evaluate",
            "packages",
            "-p",
            "run/predictions.jsonl",
            "-o",
            "graded",
            "--sandbox",
            "docker",
        ],
    );
    assert_eq!(graded.code, Some(0), "{}", graded.stderr);
    let report = json(&place.path("graded/report.json"));
    let resolved: BTreeSet<&str> =
        report["resolved_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();

    let due = judgeable(&place, &standin.stats());
    assert!(due.len() >= 7, "the stand-in's rates leave too few instances to judge: {due:?}");
    let missed: Vec<&String> = due.iter().filter(|id| !resolved.contains(id.as_str())).collect();
    assert!(missed.is_empty(), "not resolved: {missed:?}\n{report:#}");
}

#[test]
fn the_reference_patches_are_graded_as_resolved_and_empty_ones_are_not() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let built = agent(&place, &["images", "build", "packages"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let graded = agent(&place, &["evaluate", "packages", "-p", "gold", "-o", "gold"]);
    assert_eq!(graded.code, Some(0), "{}", graded.stderr);
    let report = json(&place.path("gold/report.json"));
    assert_eq!(report["resolved_instances"], 8, "{report:#}");

    // A patch that changes nothing that matters: what should fail without the fix must fail.
    let lines: String = report["resolved_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| {
            let patch = "diff --git a/agent-note.txt b/agent-note.txt\nnew file mode 100644\n\
                --- /dev/null\n+++ b/agent-note.txt\n@@ -0,0 +1 @@\n+nothing\n";
            let row = serde_json::json!({
                "instance_id": id, "model_name_or_path": "nothing", "model_patch": patch,
            });
            format!("{row}\n")
        })
        .collect();
    place.write("nothing.jsonl", &lines);
    let graded = agent(&place, &["evaluate", "packages", "-p", "nothing.jsonl", "-o", "nothing"]);
    assert_eq!(graded.code, Some(0), "{}", graded.stderr);
    let report = json(&place.path("nothing/report.json"));
    assert_eq!(report["unresolved_instances"], 8, "{report:#}");
}
