//! Parts of a dataset in processes of their own: one directory that they share, and several that are
//! joined.

use std::process::Child;

use crate::harness::{Place, SAMPLES, json, ran, rows};

const FILES: [&str; 2] = ["predictions.jsonl", "predictions.json"];

fn same_predictions(place: &Place, whole: &str, run: &str) {
    for file in FILES {
        let read = |run: &str| std::fs::read_to_string(place.path(&format!("{run}/{file}")));
        assert_eq!(read(whole).unwrap(), read(run).unwrap(), "{file}");
    }
}

/// The same command in tasks of an array of four, all at once.
fn array(place: &Place, run: impl Fn(u32) -> String) -> Vec<Child> {
    let task = |id: u32| {
        let mut command = place.command(&["run", "sample", "--sandbox", "local", "-j", "1"]);
        command.args(["--shard", "slurm", "-o", &run(id)]);
        let id = id.to_string();
        let variables =
            [("ID", id.as_str()), ("MIN", "0"), ("MAX", "3"), ("COUNT", "4"), ("STEP", "1")];
        for (name, value) in variables {
            command.env(format!("SLURM_ARRAY_TASK_{name}"), value);
        }
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    (0..4).map(task).collect()
}

#[test]
fn processes_that_share_a_directory_or_are_joined_give_the_predictions_of_one() {
    let place = Place::new();
    place.ok(&["run", "sample", "--sandbox", "local", "-o", "whole"]);
    let mut chosen = Vec::new();
    let tasks = array(&place, |_| "shared".to_owned());
    let apart = array(&place, |id| format!("part-{id}"));
    for (id, child) in tasks.into_iter().enumerate() {
        let ran = ran(child.wait_with_output().unwrap());
        // No id of the sample may hash to a part.
        assert!(matches!(ran.code, Some(0 | 4)), "{}", ran.stderr);
        if ran.code == Some(0) {
            let said = format!("note: shard {}/4, from SLURM_ARRAY_TASK_ID={id} of 0-3", id + 1);
            assert!(ran.stderr.contains(&said), "{}", ran.stderr);
            chosen.push(id);
        }
    }
    assert!(chosen.len() > 1, "the sample does not part: {chosen:?}");
    same_predictions(&place, "whole", "shared");
    let record = json(&place.path("shared/run.json"));
    assert_eq!(record["instances"], serde_json::json!(SAMPLES));
    assert_eq!(record["shards"].as_object().unwrap().len(), chosen.len());
    let same = place.ok(&["diff", "whole", "shared"]);
    assert!(same.stdout.contains("0 of 4 differ"), "{}", same.stdout);
    // Every event is a line of its own, and each instance ended once.
    let events = std::fs::read_to_string(place.path("shared/events.jsonl")).unwrap();
    let events = events.lines().map(serde_json::from_str).collect::<Result<Vec<_>, _>>();
    let events: Vec<serde_json::Value> = events.unwrap();
    let ended = events.iter().filter(|event| event.to_string().contains("instance_finished"));
    assert_eq!(ended.count(), 4);
    let again = place.ok(&["run", "sample", "--sandbox", "local", "-o", "shared", "--json"]);
    assert!(again.stdout.contains("\"finished\":4"), "{}", again.stdout);

    for child in apart {
        child.wait_with_output().unwrap();
    }
    let parts: Vec<String> = chosen.iter().map(|id| format!("part-{id}")).collect();
    let found: usize = parts
        .iter()
        .map(|part| rows(&place.path(&format!("{part}/predictions.jsonl"))).len())
        .sum();
    assert_eq!(found, 4);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    place.ok(&[&["merge"], &parts[..], &["-o", "joined"]].concat());
    same_predictions(&place, "whole", "joined");
    assert_eq!(json(&place.path("joined/run.json"))["shards"], record["shards"]);
}

#[test]
fn a_task_that_cannot_tell_its_part_says_which_variable_and_the_way_out() {
    let place = Place::new();
    let run = |shard: &str, variables: &[(&str, &str)]| {
        let mut command = place.command(&["run", "sample", "--dry-run", "--shard", shard]);
        ran(command.envs(variables.iter().copied()).output().unwrap())
    };
    let refused = run("auto", &[]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("neither SLURM_ARRAY_TASK_ID nor"), "{}", refused.stderr);
    let refused = run("kubernetes", &[("JOB_COMPLETION_INDEX", "1")]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("JOB_COMPLETIONS is not set"), "{}", refused.stderr);
    let mut all = Vec::new();
    for index in ["0", "1", "2"] {
        let ran = run("auto/3", &[("JOB_COMPLETION_INDEX", index)]);
        all.extend(ran.stdout.lines().map(str::to_owned).collect::<Vec<_>>());
    }
    all.sort();
    assert_eq!(all, SAMPLES);
}

#[test]
fn verdicts_go_with_the_patches_that_they_are_about() {
    let place = Place::new();
    let ids = [SAMPLES[0], SAMPLES[1]];
    for (run, id) in ["one", "two"].into_iter().zip(ids) {
        place.ok(&["run", "sample", "--sandbox", "local", "-o", run, "-i", id]);
        let predictions = format!("{run}/predictions.jsonl");
        place.ok(&["evaluate", "sample", "--sandbox", "local", "-p", &predictions]);
    }
    // About another patch.
    let stale = place.path(&format!("two/graded/{}/patch.diff", ids[1]));
    let right = std::fs::read(&stale).unwrap();
    std::fs::write(&stale, "another").unwrap();
    let merged = place.ok(&["merge", "one", "two", "-o", "stale", "--json"]);
    let merged: serde_json::Value = serde_json::from_str(&merged.stdout).unwrap();
    assert_eq!(merged["verdicts"]["graded"], 1);
    std::fs::write(&stale, right).unwrap();
    let merged = place.ok(&["merge", "one", "two", "-o", "joined"]);
    assert!(merged.stderr.contains("graded: 2 verdicts"), "{}", merged.stderr);
    let grade = ["evaluate", "sample", "--sandbox", "local", "-p", "joined/predictions.jsonl"];
    let graded = place.ok(&grade);
    assert_eq!(graded.stderr.matches("from an earlier evaluation").count(), 2, "{}", graded.stderr);
    let report = |run: &str| json(&place.path(&format!("{run}/graded/report.json")));
    let resolved = |run: &str| report(run)["resolved_instances"].as_u64().unwrap();
    assert_eq!(resolved("joined"), resolved("one") + resolved("two"));
    assert_eq!(report("joined")["submitted_instances"], 2);
}
