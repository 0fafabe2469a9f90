//! Agentless 1.5's selection rule (`agentless/repair/rerank.py`), with its quirks.
//!
//! 1. `min_fail` is the fewest failed regression tests over *all* samples. A sample without a patch
//!    has failed none, and so has one whose tests could not be run (E50, E51).
//! 2. Substantive candidates with exactly `min_fail` failures stay; of them, those that pass *the*
//!    reproduction test, if any do. Agentless keeps one test; of several the first by name is taken.
//! 3. If nobody is left, all substantive candidates are.
//! 4. Majority vote by class; ties go to the class whose first sample is earlier.
//!
//! One sample without a patch therefore voids the test evidence when every patch fails a test. That
//! is the published behaviour and the reason why the policy is here for comparison only. One thing
//! differs: cosmetic candidates, which Agentless never submits, come last instead of not at all.

use std::cmp::Reverse;

use serde_json::json;

use crate::artifact::{Candidate, RankedCandidate};
use crate::stage::rerank::CandidateClass;
use crate::stage::rerank::matrix::{Cell, Matrix};

/// The vote's winner first, then the others that stayed, then the rest by how far they came.
pub(crate) fn rank(
    classes: &[CandidateClass],
    candidates: &[Candidate],
    matrix: &Matrix<'_>,
) -> Vec<RankedCandidate> {
    let failures = |class: usize| {
        if matrix.regression.count(class, Cell::NotRun) > 0 {
            0
        } else {
            matrix.regression.count(class, Cell::Fail)
        }
    };
    let without_patch = candidates.iter().any(|candidate| !candidate.is_ok());
    let fewest = (0..classes.len())
        .map(failures)
        .chain(without_patch.then_some(0))
        .min()
        .unwrap_or_default();
    let fewest_failures = |class: usize| classes[class].substantive && failures(class) == fewest;
    let passes = |class: usize| matrix.reproduction.cells[class].first() == Some(&Cell::Pass);
    let anybody_passes = (0..classes.len()).any(|class| fewest_failures(class) && passes(class));
    let anybody_left = (0..classes.len()).any(fewest_failures);
    let survives = |class: usize| {
        classes[class].substantive
            && (!anybody_left || (fewest_failures(class) && (passes(class) || !anybody_passes)))
    };
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by_key(|&class| {
        (
            !survives(class),
            !classes[class].substantive,
            if survives(class) { 0 } else { failures(class) },
            !survives(class) && !passes(class),
            Reverse(classes[class].votes()),
            classes[class].first(),
        )
    });
    order
        .into_iter()
        .map(|index| {
            let mut evidence = classes[index].facts();
            evidence.insert("fewest_regression_failures".into(), json!(fewest_failures(index)));
            evidence.insert("survives".into(), json!(survives(index)));
            RankedCandidate { candidate: classes[index].first(), evidence }
        })
        .collect()
}
