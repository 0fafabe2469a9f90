//! Scores, posterior and order.

use std::cmp::Reverse;

use crate::stage::rerank::CandidateClass;
use crate::stage::rerank::evidence::traits::{COUNT, traits};
use crate::stage::rerank::matrix::Matrix;

/// Weights of the traits, in their order: fitted by `evaluation/selection fit`.
pub const WEIGHTS: [f64; COUNT] = [0.79, 5.27, 0.40, 1.11, -1.06];

/// Score of "no candidate is right", from the same fit: a constant, and a multiple of the square
/// root of the number of scripts that tell classes apart, since these raise every class's score.
pub const NONE_RIGHT: [f64; 2] = [1.66, 1.34];

/// What the evidence amounts to. Vectors follow the classes.
pub(crate) struct Judgement {
    /// Scores of the classes that were judged.
    pub(crate) scores: Vec<Option<f64>>,
    /// Probability that a class is *the* right one: two right classes share it.
    pub(crate) right: Vec<f64>,
    /// Probability that no class is right.
    pub(crate) none: f64,
    /// Probability that the behaviour of the best class is right: its own, and that of other classes
    /// as far as they behave like it.
    pub(crate) confidence: f64,
    /// For each script, how much of a witness it is: 1 for one that says what no other says, 0 for
    /// one that does not tell classes apart.
    pub(crate) test_weights: Vec<f64>,
    /// Classes, best first.
    pub(crate) order: Vec<usize>,
}

/// Cosmetic classes, and those with a test that could not be run, come after all others.
fn tier(class: &CandidateClass) -> (bool, bool) {
    (!class.substantive, !class.not_run.is_empty())
}

/// The classes that can win: those of the best tier that occurs.
pub(super) fn judged(classes: &[CandidateClass]) -> Vec<usize> {
    let best = classes.iter().map(tier).min();
    (0..classes.len()).filter(|&class| Some(tier(&classes[class])) == best).collect()
}

impl Judgement {
    /// Judges classes and scripts.
    pub(crate) fn new(classes: &[CandidateClass], matrix: &Matrix<'_>) -> Self {
        let judged = judged(classes);
        let traits = traits(classes, &judged, matrix);
        let mut scores = vec![None; classes.len()];
        for (&class, row) in judged.iter().zip(&traits.rows) {
            scores[class] = Some(row.iter().zip(WEIGHTS).map(|(x, w)| x * w).sum::<f64>());
        }
        let none = NONE_RIGHT[0] + NONE_RIGHT[1] * traits.root;
        let top = scores.iter().flatten().copied().fold(none, f64::max);
        let share = |score: f64| (score - top).exp();
        let total = share(none) + scores.iter().flatten().map(|&s| share(s)).sum::<f64>();
        let right: Vec<f64> =
            scores.iter().map(|s| s.map_or(0.0, |score| share(score) / total)).collect();
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by(|&a, &b| {
            let rest = |class: usize| {
                let class = &classes[class];
                (class.regression_failed.len(), Reverse(class.votes()), class.first())
            };
            let score = |class: usize| scores[class].unwrap_or(f64::NEG_INFINITY);
            tier(&classes[a])
                .cmp(&tier(&classes[b]))
                .then(score(b).total_cmp(&score(a)))
                .then_with(|| rest(a).cmp(&rest(b)))
        });
        let place = order.first().and_then(|leader| judged.iter().position(|c| c == leader));
        let alike = place.map_or(0.0, |leader| {
            let others = (0..judged.len()).filter(|&other| other != leader);
            others.map(|other| right[judged[other]] * traits.alike(leader, other)).sum::<f64>()
        });
        Self {
            confidence: order.first().map_or(0.0, |&leader| right[leader]) + alike,
            none: share(none) / total,
            test_weights: traits.weights,
            scores,
            right,
            order,
        }
    }
}
