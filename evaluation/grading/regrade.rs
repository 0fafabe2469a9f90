//! Grades logs without running anything: one JSON case a line in, one result a line out.
//! `evaluation/grading/parity.py` holds it against the official harness.

use std::io::{BufRead as _, Write as _};

use agent::artifact::{LogFormat, Rules};
use agent::dataset::{EvalType, Gold};
use agent::evaluate::grade;
use serde::Deserialize;
use serde_json::json;

/// A row's gold data, with the log of its tests.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct Case {
    #[serde(rename = "rules")]
    rules: Rules,
    #[serde(rename = "log_parser")]
    log_parser: String,
    #[serde(rename = "eval_type")]
    eval_type: String,
    fail_to_pass: Vec<String>,
    pass_to_pass: Vec<String>,
    #[serde(rename = "log")]
    log: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let case: Case = serde_json::from_str(&line?)?;
        let format = LogFormat::from_parser(&case.log_parser).ok_or("an unknown log parser")?;
        let gold = Gold {
            patch: String::new(),
            test_patch: String::new(),
            fail_to_pass: case.fail_to_pass,
            pass_to_pass: case.pass_to_pass,
            eval_script: None,
            eval_type: match case.eval_type.as_str() {
                "fail_only" => EvalType::FailOnly,
                _ => EvalType::PassAndFail,
            },
            log_parser: Some(case.log_parser),
            version: String::new(),
            test_directives: None,
        };
        // None: the harness loses the instance.
        let report = grade(case.rules, format, &gold, &case.log).ok();
        writeln!(out, "{}", json!(report.map(|report| report.written(case.rules))))?;
    }
    Ok(out.flush()?)
}
