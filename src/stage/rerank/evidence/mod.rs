//! Our own policy: candidates and tests judged together, tests as witnesses of unknown worth.
//!
//! Each class gets a score that is linear in its [`traits`](traits::traits); the scores of all
//! classes and of "none of them is right" make a posterior by softmax. The weights are the maximum
//! of the likelihood on simulated matrices (`evaluation/selection`, command `fit`; the README there says
//! what else was tried); no benchmark's answers went into them. Without executions only the votes
//! differ, and the policy is `majority`.

mod judgement;
mod traits;

use serde_json::{Map, json};

use crate::artifact::{Candidate, Execution, RankedCandidate};
use crate::stage::rerank::matrix::Matrix;
use crate::stage::rerank::{CandidateClass, classes};

pub(crate) use judgement::Judgement;
pub use judgement::{NONE_RIGHT, WEIGHTS};
pub use traits::COUNT;

/// What weights are fitted on: digest and traits of every class that would be judged, and the
/// square root of the number of scripts that tell classes apart.
#[must_use]
pub fn describe(
    candidates: &[Candidate],
    executions: &[Execution],
) -> (Vec<(String, [f64; COUNT])>, f64) {
    let classes = classes(candidates, executions);
    let matrix = Matrix::new(&classes, executions);
    let judged = judgement::judged(&classes);
    let traits = traits::traits(&classes, &judged, &matrix);
    let digests = judged.iter().map(|&class| classes[class].digest.clone());
    (digests.zip(traits.rows).collect(), traits.root)
}

/// Highest score first. The winner's evidence also holds the weight of every script.
pub(crate) fn rank(classes: &[CandidateClass], matrix: &Matrix<'_>) -> Vec<RankedCandidate> {
    let judgement = Judgement::new(classes, matrix);
    let round = |value: f64| (value * 1e4).round() / 1e4;
    let mut ranked: Vec<RankedCandidate> = judgement
        .order
        .iter()
        .map(|&index| {
            let mut evidence = classes[index].facts();
            evidence.insert("posterior".into(), json!(round(judgement.right[index])));
            if let Some(score) = judgement.scores[index] {
                evidence.insert("score".into(), json!(round(score)));
            }
            RankedCandidate { candidate: classes[index].first(), evidence }
        })
        .collect();
    if let Some(first) = ranked.first_mut() {
        let tests = matrix.reproduction.tests.iter().zip(&judgement.test_weights);
        let tests: Map<_, _> =
            tests.map(|(test, weight)| ((*test).to_owned(), json!(round(*weight)))).collect();
        first.evidence.insert("test_weights".into(), json!(tests));
        first.evidence.insert("none_right".into(), json!(round(judgement.none)));
    }
    ranked
}
