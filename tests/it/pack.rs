//! `agent pack` from end to end.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::{Place, Ran, SAMPLES, json, ran, rows, sample};

/// All bundled instances solved into `run`, with the answers in journals, as a run that asks a
/// model has them. Only a run in containers without a network may be handed in, so the record says
/// what such a run's record says.
fn solved() -> Place {
    let place = Place::new();
    place.ok(&["run", "sample", "-o", "run", "--sandbox", "local"]);
    for id in SAMPLES {
        let replies = fs::read_to_string(sample(id, "replies.jsonl")).unwrap();
        let asked = concat!(
            r#"{"schema":1,"type":"prompt","digest":"d","messages":[{"role":"user","content":"the question"}]}"#,
            "\n",
            r#"{"schema":1,"type":"reply","prompt":"d","call":"repair","sample":0,"content":"the answer"}"#,
            "\n",
        );
        place.write(&format!("run/{id}/journal.jsonl"), &(asked.to_owned() + &replies));
    }
    let mut record = json(&place.path("run/run.json"));
    record["sandbox"] = "docker, as asked".into();
    place.write("run/run.json", &record.to_string());
    place
}

fn problems(ran: &Ran) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", ran.stdout, ran.stderr));
    let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let rows = document["problems"].as_array().unwrap();
    rows.iter()
        .map(|row| (text(row, "level"), format!("{}: {}", text(row, "file"), text(row, "message"))))
        .collect()
}

fn has(problems: &[(String, String)], level: &str, text: &str) -> bool {
    problems.iter().any(|(at, problem)| at == level && problem.contains(text))
}

fn entry(place: &Place, package: &str) -> PathBuf {
    let split = place.path(&format!("{package}/evaluation/verified"));
    let mut entries = fs::read_dir(&split).unwrap();
    let one = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    one
}

#[test]
#[expect(clippy::too_many_lines, reason = "one run, which takes long, is packed in many ways")]
fn a_run_is_packed_checked_and_refused_for_what_is_wrong_with_it() {
    let place = solved();

    // Without grades the package is there, and says what it lacks.
    let early = place.agent(&["pack", "run", "-o", "early", "--json"]);
    assert_eq!(early.code, Some(1), "{}", early.stderr);
    let found = problems(&early);
    assert!(has(&found, "error", "predictions have no grade (report.json)"), "{found:?}");
    assert!(has(&found, "error", "predictions have no log (test_output.txt.gz) (4)"), "{found:?}");
    assert!(has(&found, "error", "metadata.yaml: line 5 still says TODO"), "{found:?}");
    assert_eq!(rows(&place.path("early/all_preds.jsonl")).len(), 4);

    place.ok(&["evaluate", "sample", "-p", "run/predictions.jsonl", "--sandbox", "local"]);
    let draft = place.ok(&["pack", "run", "-o", "draft", "--draft", "--json"]);
    let found = problems(&draft);
    assert!(has(&found, "note", "still says TODO"), "{found:?}");
    assert!(found.iter().all(|(level, _)| level == "note"), "{found:?}");

    // A person fills the gaps, and the package is fit to be sent. Its README has one of its own.
    let template = fs::read_to_string(entry(&place, "draft").join("metadata.yaml")).unwrap();
    assert!(template.contains("attempts: \"2+\"") && template.contains("checked: false"));
    let filled: String = template
        .lines()
        .map(|line| match line.split_once("TODO") {
            Some((before, rest)) if rest.contains("true or false") => format!("{before}true\n"),
            Some((before, _)) => format!("{before}something\n"),
            None => format!("{line}\n"),
        })
        .collect();
    place.write("metadata.yaml", &filled);
    let packed =
        place.agent(&["pack", "run", "-o", "package", "--metadata", "metadata.yaml", "--json"]);
    let readme = entry(&place, "package").join("README.md");
    let text = fs::read_to_string(&readme).unwrap();
    assert_eq!(problems(&packed).iter().filter(|(level, _)| level == "error").count(), 1);
    assert_eq!(text.matches("- [x] ").count(), 4, "{text}");
    assert!(text.contains("Resolved: 4 of 4 instances"));
    let text: String =
        text.lines().filter(|l| !l.contains("TODO")).map(|l| format!("{l}\n")).collect();
    fs::write(&readme, text).unwrap();
    place.ok(&["pack", "--validate", "package"]);

    let results = json(&entry(&place, "package").join("results/results.json"));
    assert_eq!(results["resolved"].as_array().unwrap().len(), 4);
    let by_repo = json(&entry(&place, "package").join("results/resolved_by_repo.json"));
    assert_eq!(by_repo["sample/cadence"], serde_json::json!({"resolved": 1, "total": 1}));
    let trace =
        fs::read_to_string(place.path(&format!("package/trajs/{}.md", SAMPLES[0]))).unwrap();
    for part in ["the question", "answer to prompt repair-1", "the answer", "## Choice", "### c009"]
    {
        assert!(trace.contains(part), "the trace lacks {part}");
    }
    let log = place.path(&format!("package/logs/{}/test_output.txt.gz", SAMPLES[0]));
    assert!(log.exists());

    // What is there stays as it is.
    let again = place.agent(&["pack", "run", "-o", "package"]);
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("package is not empty"), "{}", again.stderr);
    place.ok(&["pack", "--validate", "package"]);

    // A package that was tampered with, or put together by hand.
    fs::remove_file(&log).unwrap();
    place.write(&format!("package/logs/{}/patch.diff", SAMPLES[1]), "another");
    fs::remove_file(place.path(&format!("package/trajs/{}.md", SAMPLES[2]))).unwrap();
    let path = place.path("package/all_preds.jsonl");
    let mut predictions = fs::read_to_string(&path).unwrap();
    let last = rows(&path).pop().unwrap();
    for (id, model, patch) in [
        (SAMPLES[3], "another model", last["model_patch"].as_str().unwrap()),
        ("sample__nobody-9", "agent+recorded", "diff --git a/x b/x\n--- a/../x\n+++ b/../x\n"),
    ] {
        let row = serde_json::json!({
            "instance_id": id, "model_name_or_path": model, "model_patch": patch,
        });
        predictions.push_str(&row.to_string());
        predictions.push('\n');
    }
    fs::write(&path, predictions).unwrap();
    let checked = place.agent(&["pack", "--validate", "package", "--json"]);
    assert_eq!(checked.code, Some(1));
    let found = problems(&checked);
    for expected in [
        "predictions have no log (test_output.txt.gz) (2): sample__cadence-2, sample__nobody-9",
        "predictions were graded with another patch; grade them again (1): sample__ledgerly-1",
        "trajs: predictions have no trace (2): sample__nobody-9, sample__quillet-3",
        "instances have more than one prediction (1): sample__stowage-4",
        "more than one model name: agent+recorded, another model",
        "predictions are of no instance of the dataset (1): sample__nobody-9",
        "the patch of sample__nobody-9 touches ../x",
    ] {
        assert!(has(&found, "error", expected), "{expected}\n{found:#?}");
    }

    // A key in one answer: nothing is written, and the file is named, but not the key.
    let key = "correct-horse-battery";
    let journal = place.path(&format!("run/{}/journal.jsonl", SAMPLES[2]));
    let leak = format!(
        r#"{{"schema":1,"type":"reply","call":"repair","sample":1,"content":"use {key}"}}"#
    );
    fs::write(&journal, fs::read_to_string(&journal).unwrap() + &leak + "\n").unwrap();
    let output = place
        .command(&["pack", "run", "-o", "leaky", "--draft"])
        .env("OPENAI_API_KEY", key)
        .output()
        .unwrap();
    let leaky = ran(output);
    assert_eq!(leaky.code, Some(2), "{}", leaky.stderr);
    assert!(leaky.stderr.contains(&format!("leaky/trajs/{}.md", SAMPLES[2])), "{}", leaky.stderr);
    assert!(!leaky.stderr.contains(key));
    let left: Vec<_> = fs::read_dir(place.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("leaky") || name.starts_with(".pack"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_run_over_a_part_says_what_is_missing_and_bad_input_says_the_way_out() {
    let place = Place::new();
    place.ok(&["run", "sample", "-i", SAMPLES[1], "-o", "run", "--sandbox", "local"]);
    let packed = place.agent(&["pack", "run", "-o", "deep/package", "--draft", "--json"]);
    assert_eq!(packed.code, Some(1));
    let found = problems(&packed);
    assert!(
        has(&found, "error", "instances of the dataset were not part of the run (3)"),
        "{found:?}"
    );
    assert!(
        has(&found, "error", "the run does not bear out: Does not have web-browsing"),
        "{found:?}"
    );
    assert!(has(&found, "error", "the run has no journal of them"), "{found:?}");

    for (args, code, words) in [
        (&["pack", "nowhere", "-o", "x"][..], 2, "is not a run directory"),
        (&["pack", "run", "-o", "x", "--metadata", "nowhere"][..], 2, "--metadata nowhere"),
        (&["pack", "run", "-o", "x", "--grades", "nowhere"][..], 2, "nowhere/report.json"),
        (&["pack", "run"][..], 2, "--output"),
        (&["pack", "--validate", "nowhere"][..], 3, "nowhere/all_preds.jsonl"),
    ] {
        let ran = place.agent(args);
        assert_eq!(ran.code, Some(code), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
    }
    assert!(!place.path("x").exists());
    place.write("run/predictions.jsonl", "");
    let none = place.agent(&["pack", "run", "-o", "x"]);
    assert_eq!(none.code, Some(4), "{}", none.stderr);
}
