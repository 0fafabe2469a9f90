//! Agentless Mini's selection rule (SWE-RL, arXiv 2502.18449; `agentless_mini/rerank.py`).
//!
//! 1. Of the substantive candidates keep those with the fewest failed regression tests. A
//!    candidate with a test that could not be run comes after every count of failures.
//! 2. Group them by the exact set T of reproduction tests passed; a group of P samples scores
//!    |T|² · |P|. All groups with the highest score stay (ties are merged).
//! 3. Majority vote by class; ties go to the class whose first sample is earlier.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::artifact::RankedCandidate;
use crate::stage::rerank::CandidateClass;

struct Judged<'a> {
    class: &'a CandidateClass,
    /// `usize::MAX` when a test could not be run.
    failures: usize,
    fewest_failures: bool,
    group_samples: usize,
    score: usize,
    survives: bool,
}

/// Survivors first, by votes; the others by how far they came.
pub(crate) fn rank(classes: &[CandidateClass]) -> Vec<RankedCandidate> {
    let any_substantive = classes.iter().any(|class| class.substantive);
    let failures = |class: &CandidateClass| {
        if class.not_run.is_empty() { class.regression_failed.len() } else { usize::MAX }
    };
    let eligible = |class: &CandidateClass| class.substantive || !any_substantive;
    let fewest = classes.iter().filter(|class| eligible(class)).map(failures).min();

    let mut samples_of: BTreeMap<&BTreeSet<String>, usize> = BTreeMap::new();
    for class in classes.iter().filter(|class| eligible(class) && Some(failures(class)) == fewest) {
        *samples_of.entry(&class.reproduction_passed).or_default() += class.votes();
    }
    let score = |tests: &BTreeSet<String>, samples: usize| tests.len() * tests.len() * samples;
    let best = samples_of.iter().map(|(tests, &samples)| score(tests, samples)).max();

    let mut judged: Vec<Judged<'_>> = classes
        .iter()
        .map(|class| {
            let fewest_failures = eligible(class) && Some(failures(class)) == fewest;
            let group_samples = if fewest_failures {
                samples_of.get(&class.reproduction_passed).copied().unwrap_or(0)
            } else {
                class.votes()
            };
            let score = score(&class.reproduction_passed, group_samples);
            Judged {
                class,
                failures: failures(class),
                fewest_failures,
                group_samples,
                score,
                survives: fewest_failures && Some(score) == best,
            }
        })
        .collect();
    judged.sort_by_key(|j| {
        (
            !j.survives,
            !eligible(j.class),
            !j.fewest_failures,
            j.failures,
            // Among survivors the scores are equal and the vote decides.
            Reverse(if j.survives { 0 } else { j.score }),
            Reverse(j.class.votes()),
            j.class.first(),
        )
    });
    judged.iter().map(describe).collect()
}

fn describe(judged: &Judged<'_>) -> RankedCandidate {
    let class = judged.class;
    let mut evidence = class.facts();
    evidence.insert("fewest_regression_failures".into(), json!(judged.fewest_failures));
    evidence.insert("group_samples".into(), json!(judged.group_samples));
    evidence.insert("group_score".into(), json!(judged.score));
    evidence.insert("survives".into(), json!(judged.survives));
    RankedCandidate { candidate: class.first(), evidence }
}
