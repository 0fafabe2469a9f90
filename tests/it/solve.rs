//! `agent solve` from end to end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{
    Place, SAMPLES, docker, git, json, right_samples, rows, sample, sample_repository,
};

/// Solves every bundled instance and checks choice, patch and grade.
fn solves_every_sample(sandbox: &str) {
    let place = Place::new();
    for instance in SAMPLES {
        let run = format!("runs/{instance}");
        let solve = place.ok(&["solve", "--instance", instance, "-o", &run, "--sandbox", sandbox]);
        assert!(solve.stderr.contains("no model is asked"), "{}", solve.stderr);

        let ranking = json(&place.path(&format!("{run}/{instance}/ranking.json")));
        let chosen: u64 =
            ranking["chosen"].as_str().unwrap().trim_start_matches('c').parse().unwrap();
        assert!(right_samples(instance).contains(&chosen), "{instance} chose c{chosen:03}");

        let repo = sample_repository(&place, instance, &format!("repo-{instance}"));
        let patch = place.write(&format!("{instance}.diff"), &solve.stdout);
        git(&repo, &["apply", "--check", patch.to_str().unwrap()]);

        let predictions = format!("{run}/predictions.jsonl");
        let graded = place.ok(&[
            "evaluate",
            "sample",
            "-p",
            &predictions,
            "-o",
            &format!("{run}/graded"),
            "-i",
            instance,
            "--sandbox",
            sandbox,
        ]);
        let report = json(&place.path(&format!("{run}/graded/report.json")));
        assert_eq!(report["resolved_ids"][0], instance, "{}\n{report:#}", graded.stderr);
    }
}

#[test]
fn every_sample_is_solved_in_the_local_sandbox() {
    solves_every_sample("local");
}

#[test]
fn every_sample_is_solved_in_docker() {
    if docker() {
        solves_every_sample("docker");
    }
}

#[test]
fn a_second_run_takes_everything_from_the_directory() {
    let place = Place::new();
    let args =
        ["solve", "--instance", SAMPLES[0], "-o", "run", "--sandbox", "local", "--color", "never"];
    let first = place.ok(&args);
    let events = rows(&place.path("run/events.jsonl")).len();
    let second = place.ok(&args);
    assert_eq!(first.stdout, second.stdout);
    let new = rows(&place.path("run/events.jsonl")).split_off(events);
    let kinds: Vec<&str> = new.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert!(!kinds.contains(&"executed") && !kinds.contains(&"model_replied"), "{kinds:?}");
}

#[test]
fn a_changed_setting_makes_anew_only_what_depends_on_it() {
    let place = Place::new();
    let solve = |policy: &str| {
        place.ok(&[
            "solve",
            "--instance",
            SAMPLES[0],
            "-o",
            "run",
            "--sandbox",
            "local",
            "--policy",
            policy,
        ])
    };
    solve("mini");
    let events = rows(&place.path("run/events.jsonl")).len();
    solve("majority");
    let new = rows(&place.path("run/events.jsonl")).split_off(events);
    let made: Vec<&str> = new
        .iter()
        .filter(|event| event["event"] == "stage_finished" && event["reused"] == false)
        .map(|event| event["stage"].as_str().unwrap())
        .collect();
    assert_eq!(made, ["rerank"]);
    let ranking = json(&place.path(&format!("run/{}/ranking.json", SAMPLES[0])));
    assert_eq!(ranking["policy"], "majority");
}

#[test]
fn an_own_repository_is_left_alone_unless_apply_is_given() {
    let place = Place::new();
    let instance = SAMPLES[1];
    let repo = sample_repository(&place, instance, "mine");
    let issue = std::fs::read_to_string(sample(instance, "issue.md")).unwrap();
    place.write("issue.md", &issue);
    // Work of the user's that is not committed, and must survive.
    std::fs::write(repo.join("notes.txt"), "mine\n").unwrap();
    let before = git(&repo, &["status", "--porcelain"]);
    let replies = sample(instance, "replies.jsonl");
    let solve = |extra: &[&str]| {
        let mut args = vec![
            "solve",
            "--repo",
            "mine",
            "--issue",
            "issue.md",
            "--sandbox",
            "local",
            "-o",
            "run",
            "--test-command",
            "python -m unittest -v",
            "--log-format",
            "unittest",
            "--replay",
            replies.to_str().unwrap(),
        ];
        args.extend(extra);
        place.ok(&args)
    };
    let solved = solve(&[]);
    assert!(solved.stdout.starts_with("diff --git a/"), "{}", solved.stdout);
    assert_eq!(git(&repo, &["status", "--porcelain"]), before);
    solve(&["--apply"]);
    let after = git(&repo, &["diff"]);
    assert_eq!(after.lines().filter(|l| l.starts_with("+++")).count(), {
        solved.stdout.lines().filter(|l| l.starts_with("+++")).count()
    });
    assert_eq!(std::fs::read_to_string(repo.join("notes.txt")).unwrap(), "mine\n");
}

#[test]
fn solving_inside_the_repository_leaves_its_status_clean() {
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLES[1], "mine");
    let replies = sample(SAMPLES[1], "replies.jsonl");
    let issue = sample(SAMPLES[1], "issue.md");
    let output = place
        .command(&[
            "solve",
            "--repo",
            ".",
            "--issue",
            issue.to_str().unwrap(),
            "--sandbox",
            "local",
            "--replay",
            replies.to_str().unwrap(),
        ])
        .current_dir(&repo)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("run with `python -m unittest -v`, because tests/"), "{said}");
    let regression = |row: &serde_json::Value| row["kind"] == "regression";
    let directory = |of: &Path| -> PathBuf {
        let inside = std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
        inside.filter(|path| path.is_dir()).min().unwrap()
    };
    let executions = rows(&directory(&directory(&repo.join("runs"))).join("executions.jsonl"));
    assert!(executions.iter().filter(|row| regression(row)).count() > 20, "{said}");
    assert_eq!(git(&repo, &["status", "--porcelain"]), "");
    assert!(repo.join("runs").is_dir());
}

#[test]
fn the_issue_may_come_from_standard_input() {
    let place = Place::new();
    let instance = SAMPLES[1];
    sample_repository(&place, instance, "mine");
    let replies = sample(instance, "replies.jsonl");
    let issue = std::fs::File::open(sample(instance, "issue.md")).unwrap();
    let output = place
        .command(&[
            "solve",
            "--repo",
            "mine",
            "--issue",
            "-",
            "--sandbox",
            "local",
            "-o",
            "run",
            "--replay",
            replies.to_str().unwrap(),
        ])
        .stdin(issue)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.starts_with(b"diff --git"));
}

/// A later commit holds the answer. Nothing of it may surface: not in the prompts (the journal
/// holds them), the artifacts, or the sandbox, whose git objects a script lists.
fn nothing_of_a_later_commit_surfaces(sandbox: &str) {
    const SECRET: &str = "zebra_quagga_answer";
    let place = Place::new();
    let instance = SAMPLES[1];
    let repo = sample_repository(&place, instance, "mine");
    let base = git(&repo, &["rev-parse", "HEAD"]);
    std::fs::write(repo.join("answer.py"), format!("{SECRET} = 1\n")).unwrap();
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "-m", SECRET]);
    git(&repo, &["tag", SECRET]);
    std::fs::copy(sample(instance, "issue.md"), place.path("issue.md")).unwrap();

    let spy = "```python\nimport subprocess\n\
        ask = lambda c: subprocess.run(c, shell=True, capture_output=True, text=True).stdout\n\
        seen = ask('git log --all --format=%s; git tag; git reflog; git remote -v; ls -a; \
        git cat-file --batch-all-objects --batch | strings')\n\
        print('Issue reproduced' if 'zebra' + '_quagga' not in seen else 'Other issues')\n\
        print(len(seen))\n```";
    let mut replies = String::new();
    for (call, content) in [
        ("localize", "```\nanswer.py\n```".to_owned()),
        (
            "repair",
            format!(
                "```python\n### answer.py\n<<<<<<< SEARCH\n{SECRET} = 1\n=======\n{SECRET} = 2\n>>>>>>> REPLACE\n```"
            ),
        ),
        ("reproduce", spy.to_owned()),
    ] {
        let row = serde_json::json!({"schema": 1, "type": "reply", "call": call, "sample": 0, "content": content});
        replies.push_str(&row.to_string());
        replies.push('\n');
    }
    place.write("replies.jsonl", &replies);
    let ran = place.agent(&[
        "solve",
        "--repo",
        "mine",
        "--rev",
        base.trim(),
        "--issue",
        "issue.md",
        "-o",
        "run",
        "--sandbox",
        sandbox,
        "--replay",
        "replies.jsonl",
    ]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let dir = std::fs::read_dir(place.path("run")).unwrap();
    let dir = dir.map(|e| e.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let tests = rows(&dir.join("tests.jsonl"));
    assert_eq!(tests[0]["base"], "reproduced", "the sandbox shows the later commit: {tests:?}");
    let candidates = rows(&dir.join("candidates.jsonl"));
    assert_eq!(candidates[0]["status"], "invalid");
    let localization = json(&dir.join("localization.json"));
    let ranked = localization["ranked"].as_array().unwrap();
    assert!(ranked.iter().all(|file| file["path"] != "answer.py"), "{ranked:?}");
}

#[test]
fn nothing_of_a_later_commit_surfaces_locally() {
    nothing_of_a_later_commit_surfaces("local");
}

#[test]
fn nothing_of_a_later_commit_surfaces_in_docker() {
    if docker() {
        nothing_of_a_later_commit_surfaces("docker");
    }
}

#[test]
fn events_of_a_finished_run_are_drawn_again_as_they_were() {
    let place = Place::new();
    let args =
        ["solve", "--instance", SAMPLES[2], "-o", "run", "--sandbox", "local", "--color", "never"];
    let shown = place.ok(&args).stderr;
    let again = place.ok(&["status", "run", "--events", "--color", "never"]).stderr;
    let drawn: Vec<&str> = shown.lines().filter(|line| !line.starts_with("why: ")).collect();
    assert_eq!(drawn, again.lines().collect::<Vec<_>>());
}

#[test]
fn a_test_that_the_model_calls_outdated_judges_no_candidate() {
    let place = Place::new();
    let instance = SAMPLES[0];
    let outdated = "test_prune (tests.test_agenda.CalendarTest)";
    let judged = |run: &str, setting: &str| {
        let set = format!("execute.exclusion={setting}");
        let args = ["solve", "--instance", instance, "-o", run, "--sandbox", "local"];
        let said = place.ok(&[&args[..], &["--set", &set]].concat()).stderr;
        let rows = rows(&place.path(&format!("{run}/{instance}/executions.jsonl")));
        let about = |base: bool| {
            let of = |row: &&serde_json::Value| {
                row["kind"] == "regression" && (row["candidate"] == "base") == base
            };
            rows.iter().filter(of).map(|row| row["test"].to_string()).collect::<BTreeSet<_>>()
        };
        (about(true), about(false), said)
    };
    let (base, all, said) = judged("all", "none");
    assert!(base.contains(&format!("\"{outdated}\"")) && all == base, "{all:?}");
    assert!(!said.contains("do not count"), "{said}");
    let (base, fewer, said) = judged("fewer", "model");
    assert_eq!(base, all);
    let gone: Vec<&String> = all.difference(&fewer).collect();
    assert_eq!(gone, [&format!("\"{outdated}\"")]);
    assert!(said.contains("1 of ") && said.contains(outdated), "{said}");
    let text = place.ok(&["explain", "fewer", instance]).stdout;
    assert!(text.contains("; 1 of them not used"), "{text}");
}

#[test]
fn explain_names_the_choice_and_the_losses() {
    let place = Place::new();
    place.ok(&["solve", "--instance", SAMPLES[0], "-o", "run", "--sandbox", "local"]);
    let text = place.ok(&["explain", "run", SAMPLES[0]]).stdout;
    let chosen = json(&place.path(&format!("run/{}/ranking.json", SAMPLES[0])))["chosen"].clone();
    assert!(text.contains(&format!("{} was chosen", chosen.as_str().unwrap())), "{text}");
    assert!(text.contains("unterminated") && text.contains("scripts resolved"), "{text}");
    let document: serde_json::Value =
        serde_json::from_str(&place.ok(&["explain", "run", SAMPLES[0], "--json"]).stdout).unwrap();
    assert_eq!(document["ranking"]["chosen"], chosen);
}

#[test]
fn explain_adds_up_a_run_of_several_instances() {
    let place = Place::new();
    let both = ["-i", SAMPLES[0], "-i", SAMPLES[1]];
    place.ok(&[&["run", "sample", "-o", "run", "--sandbox", "local"][..], &both].concat());
    let text = place.ok(&["explain", "run"]).stdout;
    let json: serde_json::Value =
        serde_json::from_str(&place.ok(&["explain", "run", "--json"]).stdout).unwrap();
    let of = |file: &str| -> Vec<serde_json::Value> {
        let read = |id: &&str| rows(&place.path(&format!("run/{id}/{file}")));
        SAMPLES[..2].iter().flat_map(read).collect()
    };
    let (candidates, tests) = (of("candidates.jsonl"), of("tests.jsonl"));
    let lost = |code: &str| {
        let of_code = |c: &&serde_json::Value| {
            c["reason"].as_str().is_some_and(|r| r.starts_with(&format!("{code}:")))
        };
        candidates.iter().filter(of_code).count()
    };
    let funnel = &json["funnel"];
    assert_eq!(funnel["samples"], candidates.len());
    assert_eq!(funnel["patches"], candidates.iter().filter(|c| c["status"] == "ok").count());
    for (code, count) in funnel["lost"].as_object().unwrap() {
        assert_eq!(count, lost(code), "{code}");
        assert!(text.contains(&format!("{count} {code}")), "{text}");
    }
    let lost: u64 = funnel["lost"].as_object().unwrap().values().filter_map(|n| n.as_u64()).sum();
    assert_eq!(lost + funnel["patches"].as_u64().unwrap(), candidates.len() as u64);
    assert_eq!(funnel["scripts"], tests.len());
    assert!(SAMPLES[..2].iter().all(|id| text.contains(id)), "{text}");
}

#[test]
fn stage_commands_work_on_a_run_directory() {
    let place = Place::new();
    let instance = SAMPLES[1];
    place.ok(&["solve", "--instance", instance, "-o", "run", "--sandbox", "local"]);
    let dir = place.path(&format!("run/{instance}"));
    let candidates = std::fs::read(dir.join("candidates.jsonl")).unwrap();
    let predictions = std::fs::read(place.path("run/predictions.jsonl")).unwrap();
    std::fs::remove_file(dir.join("ranking.json")).unwrap();
    for stage in ["localize", "repair", "reproduce", "execute"] {
        place.ok(&[stage, "run", "--sandbox", "local"]);
    }
    place.ok(&["rerank", "run"]);
    assert_eq!(std::fs::read(dir.join("candidates.jsonl")).unwrap(), candidates);
    assert_eq!(std::fs::read(place.path("run/predictions.jsonl")).unwrap(), predictions);

    // Candidates of another system: these two files and nothing else.
    let other = place.path("other/x__y-1");
    std::fs::create_dir_all(&other).unwrap();
    for file in ["candidates.jsonl", "executions.jsonl"] {
        std::fs::copy(dir.join(file), other.join(file)).unwrap();
    }
    place.ok(&["rerank", "other", "--policy", "evidence"]);
    assert_eq!(json(&other.join("ranking.json")), json(&dir.join("ranking.json")));
}

#[test]
fn standard_output_carries_the_patch_alone() {
    let place = Place::new();
    let args = ["solve", "--instance", SAMPLES[0], "-o", "run", "--sandbox", "local", "-v"];
    let patch = place.ok(&args).stdout;
    let output = Command::new("git")
        .args(["apply", "--stat", "-"])
        .stdin(std::fs::File::open(place.write("p.diff", &patch)).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success() && patch.starts_with("diff --git "), "{patch}");
}
