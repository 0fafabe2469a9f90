//! `agent reward` against values from CPython: 400 generated and named cases, made by
//! `evaluation/reward/parity.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::harness::Place;

#[derive(Debug, Deserialize)]
struct Expected {
    id: String,
    reward: f64,
    similarities: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct Row {
    id: String,
    reward: f64,
    similarities: Vec<BTreeMap<String, serde_json::Value>>,
}

fn rows<T: for<'de> Deserialize<'de>>(text: &str) -> Vec<T> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn values_are_those_of_cpython() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reward");
    let expected: Vec<Expected> = rows(&fs::read_to_string(folder.join("expected.jsonl")).unwrap());
    let place = Place::new();
    let ran = place.agent(&["reward", "-j", "2", folder.join("cases.jsonl").to_str().unwrap()]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    let found: Vec<Row> = rows(&ran.stdout);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.id, expected.id);
        let near = |found: f64, expected: f64| (found - expected).abs() <= 1e-12;
        assert!(near(found.reward, expected.reward), "{found:?}\n{expected:?}");
        let likeness = found.similarities.iter().map(|entry| entry["similarity"].as_f64().unwrap());
        assert_eq!(found.similarities.len(), expected.similarities.len(), "{found:?}");
        assert!(likeness.zip(&expected.similarities).all(|(a, b)| near(a, *b)), "{found:?}");
    }
}

#[test]
fn a_bad_line_costs_no_other_line_and_the_exit_code_is_one() {
    let place = Place::new();
    place.write(
        "cases.jsonl",
        "{\"id\":\"a\",\"pred_patches\":[],\"oracle_patches\":[]}\nnonsense\n",
    );
    let ran = place.agent(&["reward", "cases.jsonl"]);
    assert_eq!(ran.code, Some(1));
    let mut lines = ran.stdout.lines();
    assert_eq!(
        lines.next(),
        Some(r#"{"id":"a","reward":1.0,"similarities":[],"flags":["no_change"]}"#)
    );
    assert_eq!(lines.next(), Some(r#"{"id":null,"error":"expected ident at column 2"}"#));
    assert_eq!(ran.stderr, "1 of 2 lines have no reward; their `error` says why\n");
    let ran = place.agent(&["reward", "missing.jsonl"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("missing.jsonl"), "{}", ran.stderr);
}
