//! `agent report` from end to end.

use std::fs;

use crate::harness::{Place, SAMPLES, json};

/// One bundled instance, solved into `run`.
fn solved() -> Place {
    let place = Place::new();
    place.ok(&["run", "sample", "-i", SAMPLES[1], "-o", "run", "--sandbox", "local"]);
    place
}

#[test]
fn a_run_becomes_one_page_that_loads_nothing() {
    let place = solved();
    let id = SAMPLES[1];
    let issue = place.path(&format!("run/{id}/instance.json"));
    let mut instance = json(&issue);
    instance["problem_statement"] = "</pre><script src=https://x.example/y.js></script>".into();
    fs::write(&issue, instance.to_string()).unwrap();
    let printed = place.ok(&["report", "run"]);
    assert_eq!(printed.stdout, "run/report.html\n");
    let html = fs::read_to_string(place.path("run/report.html")).unwrap();

    let ranking = json(&place.path(&format!("run/{id}/ranking.json")));
    let chosen = ranking["chosen"].as_str().unwrap();
    assert!(html.contains(&format!("Chosen patch: {chosen}")), "{html}");
    assert!(html.contains("<td>run.sandbox</td><td>local</td><td>--sandbox</td>"));
    assert!(html.contains("Where samples were lost") && html.contains("<td>samples drawn</td>"));
    // The issue's markup is text, and no tag of the page names anything to load.
    assert!(html.contains("&lt;script src=https://x.example/y.js&gt;"));
    let loads = regex::Regex::new(r"<[a-z]+[^>]*\s(src|href|srcset|action)\s*=").unwrap();
    assert!(loads.find(&html).is_none());

    // Grades are taken where `agent evaluate` leaves them, and only they add a rate.
    assert!(!html.contains("Wilson"));
    place.ok(&["evaluate", "sample", "-p", "run/predictions.jsonl", "--sandbox", "local"]);
    let printed = place.ok(&["report", "run", "--json", "-o", "elsewhere.html"]);
    let numbers: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(numbers["path"], "elsewhere.html");
    assert_eq!(numbers["solved"], 1);
    assert_eq!(numbers["grades"]["resolved"], 1);
    assert!(numbers["grades"]["interval"][0].as_f64().unwrap() < 0.5, "{numbers:#}");
    let drawn = numbers["funnel"]["samples"].as_u64().unwrap();
    assert_eq!(numbers["model"]["repair"]["journaled"].as_u64(), Some(drawn));
    assert_eq!(numbers["stages"]["execute"]["finished"], 1);
    let html = fs::read_to_string(place.path("elsewhere.html")).unwrap();
    assert!(html.contains("1 of 1 graded: 100.0 % (Wilson"));
}

#[test]
fn a_run_that_was_killed_half_way_has_a_page_and_bad_input_says_the_way_out() {
    let place = solved();
    let dir = place.path(&format!("run/{}", SAMPLES[1]));
    for file in ["outcome.json", "ranking.json", "instance.json"] {
        fs::remove_file(dir.join(file)).unwrap();
    }
    let rows = fs::read(dir.join("executions.jsonl")).unwrap();
    fs::write(dir.join("executions.jsonl"), &rows[..rows.len() - 20]).unwrap();
    fs::remove_file(place.path("run/events.jsonl")).unwrap();
    place.ok(&["report", "run"]);
    let html = fs::read_to_string(place.path("run/report.html")).unwrap();
    assert!(html.contains("not finished") && html.contains("not ranked"));

    let none = place.agent(&["report", "nowhere"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("nowhere is not a run directory"), "{}", none.stderr);
    let none = place.agent(&["report", "run", "--grades", "nowhere"]);
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("nowhere/report.json") && none.stderr.contains("agent evaluate"));
    let none = place.agent(&["report", "run", "-o", "nowhere/x.html"]);
    assert_eq!(none.code, Some(3));
    assert!(none.stderr.contains("nowhere/x.html"), "{}", none.stderr);
}
