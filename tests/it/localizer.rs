//! Rankings that are handed in, and places below the files, through the binary.

use std::time::Duration;

use crate::harness::{Place, SAMPLES, git, json, rows, sample, sample_repository};
use crate::standin::{Rates, Standin, StandinConfig};

fn localization(place: &Place, run: &str, instance: &str) -> serde_json::Value {
    json(&place.path(&format!("{run}/{instance}/localization.json")))
}

/// Paths of the old side of a diff.
fn edited(patch: &str) -> Vec<String> {
    let names = patch.lines().filter_map(|line| line.strip_prefix("--- a/"));
    names.map(str::to_owned).collect()
}

#[test]
fn the_oracle_ranks_the_reference_fixs_files_and_says_so() {
    let place = Place::new();
    let args = ["solve", "--instance", SAMPLES[1], "-o", "run", "--sandbox", "local"];
    place.ok(&[&args[..], &["--localizer", "oracle"]].concat());
    let found = localization(&place, "run", SAMPLES[1]);
    let patch = std::fs::read_to_string(sample(SAMPLES[1], "gold.patch")).unwrap_or_default();
    let ranked = found["ranked"].as_array().unwrap();
    let paths: Vec<&str> = ranked.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, edited(&patch), "{found:#}");
    assert_eq!(ranked[0]["reasons"][0], "given: oracle, rank 1");
    assert!(!ranked[0]["places"].as_array().unwrap().is_empty());
    let record = json(&place.path("run/run.json"));
    assert_eq!(record["settings"]["localize.localizer"]["value"], "oracle");
    let explained = place.ok(&["explain", "run", SAMPLES[1]]).stdout;
    assert!(explained.contains("given: oracle") && explained.contains(", lines "), "{explained}");

    sample_repository(&place, SAMPLES[1], "mine");
    place.write("issue.md", "It crashes.");
    let own = ["solve", "--repo", "mine", "--issue", "issue.md", "--localizer", "oracle"];
    let refused = place.agent(&own);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("an issue of your own has none"), "{}", refused.stderr);
    let listed = place.agent(&["localize", "sample", "--no-model", "--localizer", "oracle"]);
    assert_eq!(listed.code, Some(2), "{}", listed.stderr);
}

#[test]
fn lists_of_another_system_take_the_place_of_the_stage() {
    let place = Place::new();
    let listed = place.ok(&["localize", "sample", "--no-model", "-i", SAMPLES[1]]).stdout;
    let mut row: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let last = row["ranked"].as_array().unwrap().last().unwrap().clone();
    row["ranked"] = serde_json::json!([last, "no/such.py"]);
    place.write("lists.jsonl", &format!("{row}\n"));
    let args = ["solve", "--instance", SAMPLES[1], "-o", "run", "--sandbox", "local"];
    let ran = place.agent(&[&args[..], &["--localization", "lists.jsonl"]].concat());
    assert!(ran.stderr.contains("1 of the files handed in are not in the base commit"));
    let found = localization(&place, "run", SAMPLES[1]);
    assert_eq!(found["ranked"][0]["path"], last);
    assert_eq!(found["ranked"][0]["reasons"][0], "given: lists.jsonl, rank 1");
    assert_eq!(found["ranked"].as_array().unwrap().len(), 1);

    for (text, extra, expected) in [
        ("{\"instance_id\": 3}\n", None, "lists.jsonl:1:"),
        ("{\"instance_id\": \"a-1\", \"ranked\": []}\n", None, "has no row for"),
        ("", Some("oracle"), "give one of them"),
    ] {
        place.write("lists.jsonl", text);
        let mut args = [&args[..], &["--localization", "lists.jsonl"]].concat();
        args.extend(extra.iter().flat_map(|kind| ["--localizer", kind]));
        let refused = place.agent(&args);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_names_places_over_http() {
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLES[1], "repos/a__b");
    let commit = git(&repo, &["rev-parse", "HEAD"]);
    let text = |file: &str| std::fs::read_to_string(sample(SAMPLES[1], file)).unwrap();
    let row = serde_json::json!({
        "instance_id": SAMPLES[1], "repo": "a/b", "base_commit": commit.trim(),
        "problem_statement": text("issue.md"), "patch": text("gold.patch"),
    });
    let rows_path = place.write("rows.jsonl", &format!("{row}\n"));
    let standin = Standin::start(StandinConfig {
        datasets: vec![rows_path],
        latency: Duration::ZERO,
        rates: Rates { localize_hit: 1.0, ..Rates::default() },
        ..StandinConfig::default()
    })
    .await
    .unwrap();
    let url = standin.base_url();
    let ran = tokio::task::spawn_blocking(move || {
        let ran = place.agent(&[
            "run",
            "rows.jsonl",
            "--repos",
            "repos",
            "-o",
            "run",
            "--sandbox",
            "local",
            "--base-url",
            &url,
            "--samples",
            "1",
            "--tests",
            "1",
            "--set",
            "localize.places=model",
            "--set",
            "localize.samples=3",
        ]);
        (place, ran)
    });
    let (place, ran) = ran.await.unwrap();
    let found = localization(&place, "run", SAMPLES[1]);
    let gold = edited(&text("gold.patch")).remove(0);
    let files = found["ranked"].as_array().unwrap();
    let file = files.iter().find(|file| file["path"] == gold.as_str()).unwrap();
    let reasons = file["places"][0]["reasons"].to_string();
    assert!(reasons.contains("named by 3 of 3 answers"), "{file:#}\n{}", ran.stderr);
    let asked = rows(&place.path(&format!("run/{}/journal.jsonl", SAMPLES[1])));
    let of_places = asked.iter().filter(|line| {
        line["call"] == "localize" && line["sample"].as_u64().is_some_and(|sample| sample >= 1000)
    });
    assert_eq!(of_places.count(), 3);
}
