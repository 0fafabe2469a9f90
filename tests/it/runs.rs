//! Run directories compared and joined, by the real binary.

use crate::harness::{Place, SAMPLES, json, rows};

fn run(place: &Place, name: &str, more: &[&str]) {
    let common = ["run", "sample", "-o", name, "--sandbox", "local"];
    place.ok(&[&common[..], more].concat());
}

#[test]
fn a_run_differs_from_itself_in_nothing_and_from_another_policy_where_the_choice_falls() {
    let place = Place::new();
    run(&place, "a", &["-i", SAMPLES[0], "-i", SAMPLES[1]]);
    let same = place.ok(&["diff", "a", "a", "--exit-code"]);
    assert!(same.stdout.contains("0 of 2 differ"), "{}", same.stdout);
    run(&place, "b", &["-i", SAMPLES[0], "--samples", "4"]);
    let found = place.agent(&["diff", "a", "b", "--exit-code", "--json"]);
    assert_eq!(found.code, Some(1), "{}", found.stderr);
    let found: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found["settings"][0]["key"], "repair.samples");
    assert_eq!(found["instances"][0]["first"], "repair");
    assert!(found["instances"][1]["b"].is_null());
    let text = place.ok(&["diff", "a", "b"]).stdout;
    assert!(text.contains("repair.samples: 10 → 4") && text.contains("only in A"), "{text}");
    assert!(text.contains("samples 10 → 4"), "{text}");
    // Grades are found where `agent evaluate` leaves them, or taken from where one says.
    let grades = |resolved: &str, un: &str| {
        format!(
            r#"{{"resolved_ids": [{resolved}], "unresolved_ids": [{un}], "schema_version": 2}}"#
        )
    };
    let id = format!("{:?}", SAMPLES[0]);
    place.write("a/graded/report.json", &grades(&id, ""));
    place.write("elsewhere/report.json", &grades("", &id));
    let text = place.ok(&["diff", "a", "b", "--grades-b", "elsewhere", "-i", SAMPLES[0]]).stdout;
    assert!(text.contains("resolved → unresolved 1; exact McNemar p = 1.000"), "{text}");
    // Another system's directory holds no run.json.
    std::fs::remove_file(place.path("b/run.json")).unwrap();
    let text = place.ok(&["diff", "a", "b"]).stdout;
    assert!(text.contains("note: B holds no run.json"), "{text}");
    assert!(text.contains("first differs at repair"), "{text}");
    assert_eq!(place.agent(&["diff", "a", "nowhere"]).code, Some(2));
}

#[test]
fn joined_shards_are_the_whole_run() {
    let place = Place::new();
    run(&place, "whole", &["-i", SAMPLES[0], "-i", SAMPLES[1]]);
    run(&place, "one", &["-i", SAMPLES[1]]);
    run(&place, "two", &["-i", SAMPLES[0], "-j", "1"]);
    let journal = r#"{"schema":1,"type":"reply","call":"repair","sample":0,"content":"x"}"#;
    place.write(&format!("one/{}/journal.jsonl", SAMPLES[1]), &format!("{journal}\n{{\"to"));
    // The other run has begun this instance and holds an answer of its own.
    place.write(&format!("two/{}/journal.jsonl", SAMPLES[1]), &format!("{journal}\n{journal} \n"));
    place.ok(&["merge", "one", "two", "-o", "joined"]);
    let same = place.ok(&["diff", "whole", "joined", "--exit-code"]);
    assert!(same.stdout.contains("0 of 2 differ"), "{}", same.stdout);
    for file in ["predictions.jsonl", "predictions.json"] {
        let read = |run: &str| std::fs::read(place.path(&format!("{run}/{file}"))).unwrap();
        assert_eq!(read("joined"), read("whole"), "{file}");
    }
    let joined = crate::harness::journal(&place.path(&format!("joined/{}", SAMPLES[1])));
    assert_eq!(joined.len(), 2);
    assert_eq!(json(&place.path("joined/run.json"))["origin"]["merged"][1], "two");
    let events = rows(&place.path("joined/events.jsonl"));
    let count = |run: &str| rows(&place.path(&format!("{run}/events.jsonl"))).len();
    assert_eq!(events.len(), count("one") + count("two"));
    // It goes on as any run: nothing is left to do.
    let again = place.ok(&[
        "run",
        "sample",
        "-o",
        "joined",
        "--sandbox",
        "local",
        "--json",
        "-i",
        SAMPLES[0],
        "-i",
        SAMPLES[1],
    ]);
    assert!(again.stdout.contains("\"finished\":2"), "{}", again.stdout);
    assert!(place.ok(&["explain", "joined", SAMPLES[1]]).stdout.contains("c0"));
}

#[test]
fn runs_that_disagree_are_joined_only_as_asked() {
    let place = Place::new();
    run(&place, "a", &["-i", SAMPLES[0]]);
    run(&place, "b", &["-i", SAMPLES[0], "--samples", "4"]);
    let refused = place.agent(&["merge", "a", "b", "-o", "out"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("repair.samples: 10 in a, 4 in b"), "{}", refused.stderr);
    let refused = place.agent(&["merge", "a", "b", "-o", "out", "--allow-different"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.stderr.contains(SAMPLES[0]) && refused.stderr.contains("--prefer"),
        "{}",
        refused.stderr
    );
    assert!(!place.path("out").exists());
    place.ok(&["merge", "a", "b", "-o", "out", "--allow-different", "--prefer", "last"]);
    let count =
        |run: &str| rows(&place.path(&format!("{run}/{}/candidates.jsonl", SAMPLES[0]))).len();
    assert_eq!((count("a"), count("b"), count("out")), (10, 4, 4));
    assert!(json(&place.path("out/run.json"))["origin"]["different"][0].is_string());
    let refused = place.agent(&["merge", "a", "b", "-o", "out"]);
    assert!(refused.stderr.contains("out is not empty"), "{}", refused.stderr);
    let refused = place.agent(&["merge", "a", "a", "-o", "a/x"]);
    assert!(refused.stderr.contains("lies inside a"), "{}", refused.stderr);
    // Somebody works there.
    let lock = std::fs::File::create(place.path(&format!("a/{}/.lock", SAMPLES[0]))).unwrap();
    lock.lock().unwrap();
    let refused = place.agent(&["merge", "a", "a", "-o", "new"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("being worked on"), "{}", refused.stderr);
    let left = std::fs::read_dir(place.dir()).unwrap();
    assert!(
        left.map(|e| e.unwrap().file_name()).all(|n| !n.to_string_lossy().starts_with(".merg"))
    );
}

#[test]
fn a_replay_under_the_same_settings_is_the_run_and_needs_nothing_more() {
    let place = Place::new();
    run(&place, "a", &["-i", SAMPLES[0], "-i", SAMPLES[1]]);
    let said = place.ok(&["replay", "a"]);
    assert!(said.stdout.contains("0 of 2 differ"), "{}", said.stdout);
    assert!(said.stdout.contains("every candidate's tests are known"), "{}", said.stdout);
    let read = |run: &str| std::fs::read(place.path(&format!("{run}/predictions.jsonl"))).unwrap();
    assert_eq!(read("a"), read("a-replay"));
    assert!(json(&place.path("a-replay/run.json"))["origin"]["replayed"].is_string());
    let ids = ["-i", SAMPLES[0], "-i", SAMPLES[1]];
    let again = [&["run", "sample", "-o", "a-replay", "--sandbox", "local", "--json"], &ids[..]];
    let again = place.ok(&again.concat());
    assert!(again.stdout.contains("\"finished\":2"), "{}", again.stdout);
    let refused = place.agent(&["replay", "a", "-o", "a-replay"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("is not empty"), "{}", refused.stderr);
}

#[test]
fn candidates_that_were_never_executed_are_named_and_can_be_completed() {
    let place = Place::new();
    run(&place, "few", &["-i", SAMPLES[0], "--samples", "2"]);
    run(&place, "all", &["-i", SAMPLES[0]]);
    let found = place.agent(&["replay", "few", "-o", "grown", "--samples", "10", "--json"]);
    assert!(found.code == Some(0) || found.code == Some(1), "{}", found.stderr);
    let found: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    assert_eq!(found["comparison"]["instances"][0]["first"], "repair");
    assert!(!found["incomplete"].as_array().unwrap().is_empty(), "{found}");
    let stages = || json(&place.path(&format!("grown/{}/stages.json", SAMPLES[0])));
    assert_eq!(stages()["repair"]["finished"], true);
    assert_eq!(stages()["execute"]["finished"], false);
    place.ok(&["execute", "grown"]);
    place.ok(&["rerank", "grown"]);
    assert_eq!(stages()["execute"]["finished"], true);
    let text = place.ok(&["diff", "all", "grown"]).stdout;
    assert!(text.contains("0 of 1 differ"), "{text}");
}

#[test]
fn a_run_without_journals_cannot_be_replayed() {
    let place = Place::new();
    run(&place, "a", &["-i", SAMPLES[0]]);
    let path = place.path("a/run.json");
    let mut record = json(&path);
    record["dataset"] = "elsewhere.jsonl".into();
    std::fs::write(&path, record.to_string()).unwrap();
    let refused = place.agent(&["replay", "a"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("holds no journal"), "{}", refused.stderr);
    assert!(!place.path("a-replay").exists());
}
