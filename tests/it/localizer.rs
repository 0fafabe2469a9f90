//! Rankings that are handed in, and places below the files, through the binary.

use std::time::Duration;

use crate::harness::{Place, SAMPLES, git, journal, json, rows, sample, sample_repository};
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
    let asked = journal(&place.path(&format!("run/{}", SAMPLES[1])));
    let of_places = asked.iter().filter(|line| {
        line["call"] == "localize" && line["sample"].as_u64().is_some_and(|sample| sample >= 1000)
    });
    assert_eq!(of_places.count(), 3);
}

/// Names of regression tests that ran on a subject.
fn regression(place: &Place, run: &str, instance: &str) -> Vec<String> {
    let rows = rows(&place.path(&format!("{run}/{instance}/executions.jsonl")));
    let base = rows.iter().filter(|row| row["kind"] == "regression" && row["candidate"] == "c000");
    base.map(|row| row["test"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn given_regression_tests_take_the_place_of_the_choice() {
    let place = Place::new();
    let instance = SAMPLES[1];
    let args = ["solve", "--instance", instance, "-o", "run", "--sandbox", "local"];
    place.ok(&args);
    let chosen = regression(&place, "run", instance);
    assert!(chosen.len() > 3, "{chosen:?}");
    let one = &chosen[2];
    let module = one.split_once('(').unwrap().1.split('.').take(2).collect::<Vec<_>>();
    let file = format!("{}.py", module.join("/"));

    // One file, for whichever instance; then two of its tests by name, as Agentless lists them.
    let with = ["--regression-files", "tests.txt"];
    place.write("tests.txt", &format!("{file}\nno/such.py\n"));
    let ran = place.ok(&[&args[..], &with].concat());
    assert!(ran.stderr.contains("left out: no/such.py"), "{}", ran.stderr);
    let of_file = regression(&place, "run", instance);
    assert!(of_file.contains(one) && of_file.len() < chosen.len(), "{of_file:?}");
    let listed = serde_json::json!({
        "instance_id": instance, "tests_passing_in_original_repo": [one, "test_none (no.where.T)"],
    });
    place.write("tests.txt", &format!("{listed}\n"));
    place.ok(&[&args[..], &with].concat());
    assert_eq!(regression(&place, "run", instance), std::slice::from_ref(one));
    let record = json(&place.path("run/run.json"));
    assert_eq!(record["settings"]["run.regression_tests"]["value"], "tests.txt");

    for (text, more, expected) in [
        ("{\"instance_id\": \"a-1\"}\n", &[][..], "tests.txt:1: it names neither"),
        ("{\"instance_id\": \"a-1\", \"test_files\": [\"x.py\"]}\n", &[], "has no row for"),
        ("\n", &[], "names no test file"),
        ("x.py\n", &["--set", "execute.regression=none"], "give one of them"),
    ] {
        place.write("tests.txt", text);
        let refused = place.agent(&[&args[..], &with, more].concat());
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

/// A runner of any kind that writes JUnit's XML guards an own repository.
#[test]
fn an_own_repository_may_report_its_tests_as_junit_xml() {
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLES[1], "mine");
    let runner = "import os, sys, unittest\nimport xml.sax.saxutils as x\n\n\
        class Result(unittest.TestResult):\n    rows = []\n    \
        def addSuccess(self, t): self.rows.append((t.id(), ''))\n    \
        def addFailure(self, t, e): self.rows.append((t.id(), '<failure/>'))\n    \
        def addError(self, t, e): self.rows.append((t.id(), '<error/>'))\n\n\
        names = [p[:-3].replace('/', '.') for p in sys.argv[1:]]\n\
        result = Result()\nunittest.defaultTestLoader.loadTestsFromNames(names).run(result)\n\
        with open(os.environ['JUNIT_XML'], 'w') as out:\n    out.write('<testsuite>')\n    \
        for name, how in result.rows:\n        a, b = name.rsplit('.', 1)\n        \
        out.write(f'<testcase classname={x.quoteattr(a)} name={x.quoteattr(b)}>{how}</testcase>')\n    \
        out.write('</testsuite>')\nsys.exit(not result.wasSuccessful())\n";
    std::fs::write(repo.join("run_tests.py"), runner).unwrap();
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "-m", "runner"]);
    std::fs::copy(sample(SAMPLES[1], "issue.md"), place.path("issue.md")).unwrap();
    let own = [
        "solve",
        "--repo",
        "mine",
        "--issue",
        "issue.md",
        "-o",
        "run",
        "--sandbox",
        "local",
        "--test-command",
        "python3 run_tests.py",
        "--log-parser",
        "junit",
    ];
    let replay = sample(SAMPLES[1], "replies.jsonl");
    let replay = ["--replay", replay.to_str().unwrap()];
    let ran = place.ok(&[&own[..], &replay].concat());
    let id = std::fs::read_dir(place.path("run"))
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| place.path(&format!("run/{name}/executions.jsonl")).exists())
        .unwrap_or_else(|| panic!("{}", ran.stderr));
    let rows = rows(&place.path(&format!("run/{id}/executions.jsonl")));
    let outcomes: std::collections::BTreeSet<String> = rows
        .iter()
        .filter(|row| row["kind"] == "regression" && row["candidate"] != "base")
        .filter(|row| row["test"].as_str().unwrap().contains("::test_"))
        .map(|row| row["outcome"].as_str().unwrap().to_owned())
        .collect();
    assert!(outcomes.contains("pass"), "{outcomes:?} {}", ran.stderr);
}
