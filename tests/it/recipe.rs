//! README's way from an endpoint to a submission, as it stands there; and the simulation of a whole
//! benchmark, small.

use std::path::Path;
use std::process::Command;

use crate::harness::{Place, copy_dir, docker, json, ran, rows};
use crate::packages::{agent, cache};
use crate::standin::{Rates, Standin, StandinConfig};

/// The commands of README's recipe.
fn recipe() -> Vec<String> {
    let readme = include_str!("../../README.md");
    let section = readme.split("## From an endpoint to a submission").nth(1).unwrap();
    let block = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let code = block.lines().filter_map(|line| line.split('#').next()).map(str::trim);
    code.filter(|line| line.starts_with("agent ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipe_leads_from_an_endpoint_to_a_submission() {
    let commands = recipe();
    assert_eq!(commands.len(), 5, "{commands:#?}");
    if !docker() {
        return;
    }
    let place = Place::new();
    let built = agent(&place, &["images", "build", "packages"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let two: String = std::fs::read_to_string(cache().join("packages/packages.jsonl"))
        .unwrap()
        .lines()
        .take(2)
        .map(|line| format!("{line}\n"))
        .collect();
    let dataset = place.write("verified.jsonl", &two);
    let standin = Standin::start(StandinConfig {
        datasets: vec![dataset],
        scripts: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/packages")),
        rates: Rates { right: 0.5, malformed: 0.1, ..Rates::default() },
        seed: 7,
        ..StandinConfig::default()
    })
    .await
    .unwrap();
    for line in commands {
        // What a small machine can do: the same commands over two rows and fewer samples.
        let line = line
            .replace(" verified", " verified.jsonl")
            .replace("--samples 40 --tests 20", "--samples 6 --tests 3");
        let args: Vec<&str> = line.split_whitespace().skip(1).collect();
        let output = place
            .command(&args)
            .env("AGENT_CACHE", cache())
            .env("OPENAI_BASE_URL", standin.base_url())
            .output()
            .unwrap();
        let ran = ran(output);
        assert_eq!(ran.code, Some(0), "{line}\n{}\n{}", ran.stdout, ran.stderr);
    }
    assert_eq!(rows(&place.path("runs/verified/predictions.jsonl")).len(), 2);
    let report = json(&place.path("runs/verified/graded/report.json"));
    assert_eq!(report["resolved_instances"], 2, "{report:#}");
    for file in ["all_preds.jsonl", "trajs", "logs", "evaluation"] {
        assert!(place.path("submission").join(file).exists(), "{file}");
    }
}

#[test]
fn a_simulated_benchmark_goes_through_a_failing_server() {
    if !docker() {
        return;
    }
    let place = Place::new();
    let built = agent(&place, &["images", "build", "packages"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    let binary = Path::new(env!("CARGO_BIN_EXE_agent"));
    let standin = binary.parent().unwrap().join("examples/standin");
    if !standin.exists() {
        eprintln!(
            "skipped: the example `standin` is not built (`cargo test` without a filter does)"
        );
        return;
    }
    // Away from the checkout, where Python would leave its caches.
    let evaluation = Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation");
    for folder in ["simulated", "packages"] {
        copy_dir(&evaluation.join(folder), &place.path(folder));
    }
    let output = Command::new("python3")
        .arg(place.path("simulated/run.py"))
        .args([binary, &standin, &place.path("out")])
        .args(["--count", "4", "--samples", "4", "--tests", "3"])
        .args(["--fault-rate", "429=0.1", "--fault-rate", "500=0.05"])
        .env("AGENT_CACHE", cache())
        .output()
        .unwrap();
    let ran = ran(output);
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("| instances | 4 ("), "{}", ran.stdout);
    assert_eq!(rows(&place.path("out/run/predictions.jsonl")).len(), 4);
    assert!(place.path("out/submission/all_preds.jsonl").exists());
}
