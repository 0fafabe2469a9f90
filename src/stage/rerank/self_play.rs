//! Kimi-Dev's test-time self-play score (arXiv 2509.23045), on the matrix that is stored here.
//!
//! `S = FP / F + PP / P`. A kept script fails on the base commit, so F is the number of scripts and
//! FP how many of them a candidate passes; P is the number of regression tests (they pass on the
//! base commit) and PP how many still pass. The paper leaves open, and this is settled here: a half
//! without tests is 0 for everybody; a test without a row was not passed; candidates are scored as
//! classes; ties go to more votes, then to the earlier first sample; a class with a test that could
//! not be run comes after all classes without.

use std::cmp::Reverse;

use serde_json::json;

use crate::artifact::RankedCandidate;
use crate::stage::rerank::CandidateClass;
use crate::stage::rerank::matrix::{Cell, Matrix};

/// Highest score first.
pub(crate) fn rank(classes: &[CandidateClass], matrix: &Matrix<'_>) -> Vec<RankedCandidate> {
    let scripts = matrix.reproduction.tests.len().max(1);
    let tests = matrix.regression.tests.len().max(1);
    let passed = |class: usize| {
        (matrix.reproduction.count(class, Cell::Pass), matrix.regression.count(class, Cell::Pass))
    };
    // The score times both denominators: equal scores compare as equal.
    let score = |class: usize| {
        let (resolved, kept) = passed(class);
        resolved * tests + kept * scripts
    };
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|&class| {
        (
            !classes[class].substantive,
            !classes[class].not_run.is_empty(),
            Reverse(score(class)),
            Reverse(classes[class].votes()),
            classes[class].first(),
        )
    });
    order
        .into_iter()
        .map(|index| {
            let mut evidence = classes[index].facts();
            let score = score(index) as f64 / (scripts * tests) as f64;
            evidence.insert("regression_passed".into(), json!(passed(index).1));
            evidence.insert("score".into(), json!(score));
            RankedCandidate { candidate: classes[index].first(), evidence }
        })
        .collect()
}
