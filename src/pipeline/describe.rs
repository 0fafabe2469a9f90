//! One line for people about what a stage has done.

use crate::artifact::{
    Candidate, Execution, Localization, Outcome, Ranking, ReproductionTest, TestKind,
};
use crate::stage::reproduce;

pub(super) fn localization(localization: &Localization) -> String {
    let paths: Vec<&str> =
        localization.ranked.iter().take(3).map(|ranked| ranked.path.as_str()).collect();
    let more = localization.ranked.len().saturating_sub(paths.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", paths.join(", "))
}

pub(super) fn candidates(candidates: &[Candidate]) -> String {
    let valid: Vec<&Candidate> = candidates.iter().filter(|c| c.is_ok()).collect();
    let mut classes: Vec<&str> = valid.iter().map(|c| c.class.as_str()).collect();
    classes.sort_unstable();
    classes.dedup();
    format!(
        "{} of {} samples give a patch, {} different changes",
        valid.len(),
        candidates.len(),
        classes.len()
    )
}

pub(super) fn tests(tests: &[ReproductionTest], keep: usize) -> String {
    let reproducing = tests.iter().filter(|test| test.counts()).count();
    let judges = reproduce::judges(tests, keep).len();
    format!(
        "{reproducing} of {} scripts reproduce the issue, {judges} different ones judge",
        tests.len()
    )
}

pub(super) fn ranking(ranking: &Ranking, executions: &[Execution]) -> String {
    let (Some(chosen), Some(first)) = (ranking.chosen, ranking.ranked.first()) else {
        return "no candidate".to_owned();
    };
    let votes = first.evidence.get("votes").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let of = |kind: TestKind| {
        let rows = executions.iter().filter(|row| {
            row.kind == kind
                && first.evidence.get("members").and_then(|m| m.as_array()).is_some_and(|members| {
                    members.iter().any(|m| m.as_str() == Some(&row.subject.to_string()))
                })
        });
        let (mut passed, mut all) = (0, 0);
        for row in rows {
            all += 1;
            passed += usize::from(row.outcome == Outcome::Pass);
        }
        (passed, all)
    };
    let (reproduced, scripts) = of(TestKind::Reproduction);
    let (kept, regression) = of(TestKind::Regression);
    format!(
        "{chosen} by {}: {votes} votes, resolves {reproduced} of {scripts} scripts, keeps {kept} of {regression} tests",
        ranking.policy
    )
}
