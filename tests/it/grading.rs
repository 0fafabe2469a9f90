//! `agent evaluate`: by whose rules, and what is made anew.

use serde_json::{Value, json as value};

use crate::harness::{Place, SAMPLES, git, json, sample, sample_repository};

const SAMPLE: &str = SAMPLES[1];

/// A row of the sample under another name, of the repository `fixture/<name>`.
fn row(name: &str, commit: &str) -> Value {
    let text = |file: &str| std::fs::read_to_string(sample(SAMPLE, file)).unwrap();
    let mut row: Value = serde_json::from_str(&text("instance.json")).unwrap();
    row["instance_id"] = value!(format!("fixture__{name}-1"));
    row["repo"] = value!(format!("fixture/{name}"));
    row["base_commit"] = value!(commit);
    row["problem_statement"] = value!(text("issue.md"));
    row["patch"] = value!(text("gold.patch"));
    row["test_patch"] = value!(text("test.patch"));
    row
}

#[test]
fn what_the_infrastructure_failed_on_is_told_apart_and_made_anew_alone() {
    let place = Place::new();
    let repo = sample_repository(&place, SAMPLE, "repos/fixture__one");
    let commit = git(&repo, &["rev-parse", "HEAD"]);
    let rows = [row("one", commit.trim()), row("two", commit.trim())];
    place.write("rows.json", &value!(rows).to_string());
    let evaluate = |more: &[&str]| {
        let args =
            ["evaluate", "rows.json", "-p", "gold", "--repos", "repos", "--sandbox", "local"];
        place.agent(&[&args[..], more].concat())
    };

    let first = evaluate(&[]);
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    let summary = "resolved 1 of 1, 1 not judged (infra) (2 submitted, 2 in the dataset)\n";
    assert!(first.stdout.starts_with(summary), "{}", first.stdout);
    assert!(first.stdout.contains("  infra       fixture__two-1: "), "{}", first.stdout);
    let report = json(&place.path("graded/report.json"));
    assert_eq!(report["not_judged_infra_ids"], value!(["fixture__two-1"]));
    assert_eq!((&report["judged_instances"], &report["rules"]), (&value!(1), &value!("agent")));

    std::fs::rename(&repo, place.path("repos/fixture__two")).unwrap();
    let second = evaluate(&[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    let summary = "resolved 2 of 2 (2 submitted, 2 in the dataset)\n";
    assert!(second.stdout.starts_with(summary), "{}", second.stdout);
    let earlier = |text: &str| text.matches("(from an earlier evaluation)").count();
    assert_eq!(earlier(&second.stderr), 1, "{}", second.stderr);

    // Asked for again, the first fails now that its repository is gone.
    assert_eq!(evaluate(&["--again", "unresolved", "--again", "timeout"]).code, Some(0));
    let again = evaluate(&["--again", "resolved"]);
    assert_eq!(earlier(&again.stderr), 0, "{}", again.stderr);
    assert!(again.stdout.starts_with("resolved 1 of 1, 1 not judged (infra)"), "{}", again.stdout);
}

#[test]
fn a_harnesss_rules_have_a_directory_of_their_own_and_say_what_a_row_lacks() {
    let place = Place::new();
    for (flags, name) in [
        (&["--compat"][..], "harness-5.0.2"),
        (&["--rules", "harness-5.0.2"], "harness-5.0.2"),
        (&["--rules", "harness-4.1"], "harness-4.1"),
    ] {
        let args = ["evaluate", "sample", "-p", "gold", "--sandbox", "local"];
        let ran = place.agent(&[&args[..], flags].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let summary = "resolved 0 of 0, 4 not judged (gold tests cannot be set up) (4 submitted";
        assert!(ran.stdout.starts_with(summary), "{}", ran.stdout);
        let lack = format!("the row has no `eval_script`, which the rules of {name} need");
        assert!(ran.stdout.contains(&lack), "{}", ran.stdout);
        let report = json(&place.path(&format!("graded-{name}/report.json")));
        assert_eq!(report["rules"], name);
        assert_eq!(report.get("failure_reasons").is_some(), name != "harness-4.1");
    }
    assert!(!place.path("graded").exists());
    let args = ["evaluate", "sample", "-p", "gold", "--compat", "--rules", "harness-4.1"];
    assert_eq!(place.agent(&args).code, Some(2));
    let help = place.ok(&["evaluate", "--help"]).stdout;
    for word in ["--compat", "--again", "harness-4.1 runs the row's `eval_script`"] {
        assert!(help.contains(word), "{help}");
    }
}
