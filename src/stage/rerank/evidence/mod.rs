//! Our own policy: candidates and tests judged together, tests as witnesses of unknown worth.
//!
//! Each class gets a score: the sum of its traits ([`Trait`]), each times a worth that is linear in
//! what the instance looks like ([`Context`]: how many behaviours, how far scripts and votes agree,
//! …). The scores of all classes and of "none of them is right" make a posterior by softmax. The
//! weights are the maximum of the likelihood on simulated matrices (`evaluation/selection`, command
//! `fit`; the README there says what else was tried); no benchmark's answers went into them. Without
//! tests that tell classes apart the policy is `majority`.

mod judgement;
mod likeness;
mod regression;
mod traits;
mod weights;

use serde_json::{Map, json};

use crate::artifact::{Candidate, Execution, RankedCandidate};
use crate::stage::rerank::matrix::Matrix;
use crate::stage::rerank::{CandidateClass, classes};

pub(crate) use judgement::Judgement;
pub use judgement::scaled;
pub use traits::{CONTEXTS, Context, TRAITS, Trait};
pub use weights::{NONE_RIGHT, SCALES, TERMS, Term};

/// What weights are fitted on.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Digest and traits of every class that would be judged.
    pub classes: Vec<(String, [f64; TRAITS])>,
    /// The instance.
    pub context: [f64; CONTEXTS],
    /// Number of scripts that tell classes apart.
    pub telling: usize,
}

/// Describes an instance without judging it.
#[must_use]
pub fn describe(candidates: &[Candidate], executions: &[Execution]) -> Description {
    let classes = classes(candidates, executions);
    let matrix = Matrix::new(&classes, executions);
    let judged = judgement::judged(&classes);
    let traits = traits::traits(&classes, &judged, &matrix);
    let digests = judged.iter().map(|&class| classes[class].digest.clone());
    Description {
        classes: digests.zip(traits.rows).collect(),
        context: traits.context,
        telling: traits.telling,
    }
}

/// Highest score first. Of the first two, the evidence holds what each trait adds to the score; of
/// the winner, also the weight of every script.
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
    for (entry, &class) in ranked.iter_mut().zip(&judgement.order).take(2) {
        if let Some(parts) = judgement.parts(class) {
            let parts: Map<_, _> = Trait::ALL
                .iter()
                .zip(parts)
                .map(|((_, name), part)| ((*name).to_owned(), json!(round(part))))
                .collect();
            entry.evidence.insert("score_parts".into(), json!(parts));
        }
    }
    if let Some(first) = ranked.first_mut() {
        let tests = matrix.reproduction.tests.iter().zip(&judgement.traits.weights);
        let tests: Map<_, _> =
            tests.map(|(test, weight)| ((*test).to_owned(), json!(round(*weight)))).collect();
        first.evidence.insert("test_weights".into(), json!(tests));
        first.evidence.insert("none_right".into(), json!(round(judgement.none)));
    }
    ranked
}
