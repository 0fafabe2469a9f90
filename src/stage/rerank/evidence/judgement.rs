//! Scores, posterior and order.

use std::cmp::Reverse;

use crate::stage::rerank::CandidateClass;
use crate::stage::rerank::evidence::traits::{CONTEXTS, Context, TRAITS, Traits, traits};
use crate::stage::rerank::evidence::weights::{NONE_RIGHT, SCALES, TERMS};
use crate::stage::rerank::matrix::Matrix;

/// Spreads from the mean beyond which a context counts no further: the weights were not fitted there.
const FAR: f64 = 2.0;

/// What the evidence amounts to. Vectors follow the classes, but for those in `traits`, which follow
/// the classes in `judged`.
pub(crate) struct Judgement {
    /// Classes that can win: those of the best tier that occurs.
    pub(crate) judged: Vec<usize>,
    /// What the scores are made of.
    pub(crate) traits: Traits,
    /// What each trait is worth in this context.
    pub(crate) worth: [f64; TRAITS],
    /// Scores of the classes that were judged.
    pub(crate) scores: Vec<Option<f64>>,
    /// Probability that a class is *the* right one: two right classes share it.
    pub(crate) right: Vec<f64>,
    /// Probability that no class is right.
    pub(crate) none: f64,
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

/// Contexts in the units of the fit.
#[must_use]
pub fn scaled(context: &[f64; CONTEXTS], scales: &[(f64, f64); CONTEXTS]) -> [f64; CONTEXTS] {
    let mut scaled = *context;
    for (value, (mean, spread)) in scaled.iter_mut().zip(scales) {
        *value = ((*value - mean) / spread).clamp(-FAR, FAR);
    }
    scaled
}

/// What each trait is worth in a context.
fn worth(context: &[f64; CONTEXTS]) -> [f64; TRAITS] {
    let mut worth = [0.0; TRAITS];
    for (place, context_place, weight) in TERMS.map(|(t, c, w)| (t as usize, c as usize, w)) {
        worth[place] += weight * context[context_place];
    }
    worth
}

impl Judgement {
    /// Judges classes and scripts.
    pub(crate) fn new(classes: &[CandidateClass], matrix: &Matrix<'_>) -> Self {
        let judged = judged(classes);
        let traits = traits(classes, &judged, matrix);
        let context = scaled(&traits.context, &SCALES);
        let worth = worth(&context);
        let mut scores = vec![None; classes.len()];
        for (&class, row) in judged.iter().zip(&traits.rows) {
            scores[class] = Some(row.iter().zip(worth).map(|(x, w)| x * w).sum::<f64>());
        }
        let none = context.iter().zip(NONE_RIGHT).map(|(x, w)| x * w).sum::<f64>()
            + NONE_RIGHT[CONTEXTS] * (traits.telling as f64).sqrt();
        let top = scores.iter().flatten().copied().fold(none, f64::max);
        let share = |score: f64| (score - top).exp();
        let total = share(none) + scores.iter().flatten().map(|&s| share(s)).sum::<f64>();
        let right: Vec<f64> =
            scores.iter().map(|s| s.map_or(0.0, |score| share(score) / total)).collect();
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by(|&a, &b| {
            let rest = |class: usize| {
                let class = &classes[class];
                let failures = if traits.sees { class.regression_failed.len() } else { 0 };
                (failures, Reverse(class.votes()), class.first())
            };
            // Where no test tells classes apart, the vote decides alone: failures then differ only by
            // tests that could not be run.
            let score = |class: usize| match scores[class] {
                Some(score) if traits.sees => score,
                Some(_) => 0.0,
                None => f64::NEG_INFINITY,
            };
            tier(&classes[a])
                .cmp(&tier(&classes[b]))
                .then(score(b).total_cmp(&score(a)))
                .then_with(|| rest(a).cmp(&rest(b)))
        });
        Self { none: share(none) / total, judged, traits, worth, scores, right, order }
    }

    /// What each trait adds to the score of a class.
    pub(super) fn parts(&self, class: usize) -> Option<[f64; TRAITS]> {
        let row = self.judged.iter().position(|&judged| judged == class)?;
        let mut parts = self.traits.rows[row];
        for (part, worth) in parts.iter_mut().zip(self.worth) {
            *part *= worth;
        }
        Some(parts)
    }

    /// An unscaled context.
    pub(crate) fn context(&self, context: Context) -> f64 {
        self.traits.context[context as usize]
    }
}
