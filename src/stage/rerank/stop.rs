//! When more samples are not worth their cost.

use serde::{Deserialize, Serialize};

use crate::artifact::{Candidate, CandidateId, Execution};
use crate::stage::rerank::classes;
use crate::stage::rerank::evidence::Judgement;
use crate::stage::rerank::matrix::Matrix;

/// Settings of adaptive sampling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdaptiveConfig {
    /// From 0 to 1: how sure it must be that further samples change nothing for the better; 1
    /// draws every sample.
    pub confidence: f64,
    /// Samples drawn and tested between two decisions.
    pub round: u32,
}

impl AdaptiveConfig {
    /// Whether sampling may end early.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.confidence < 1.0
    }
}

/// Whether to draw more samples, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Draw no more.
    pub stop: bool,
    /// Whom the policy `evidence` would choose now.
    pub leader: Option<CandidateId>,
    /// Probability, 0 to 1, that what the leader does is right; other classes count as far as the
    /// scripts cannot tell them from it.
    pub confidence: f64,
}

/// Says whether to stop after these samples and executions, `remaining` samples before the end.
///
/// Going on is worth it while the choice may still change for the better: it is wrong with
/// probability `1 - posterior` (the posterior of the leader's behaviour, in which "no candidate is
/// right" takes part), and what `n` samples did not show, `r` more show with a chance that grows
/// like `ln(1 + r / n)`. The rule stops when the product is at most `1 - confidence`; a confidence
/// of 1 or more draws every sample. It is pure, so a resumed run that sees the same samples decides
/// the same. `evaluation/selection stop` measures what it saves and loses.
#[must_use]
pub fn should_stop(
    candidates: &[Candidate],
    executions: &[Execution],
    remaining: usize,
    confidence: f64,
) -> Decision {
    let classes = classes(candidates, executions);
    let judgement = Judgement::new(&classes, &Matrix::new(&classes, executions));
    let ahead = (remaining as f64 / candidates.len().max(1) as f64).ln_1p();
    let doubt = (1.0 - judgement.confidence) * ahead;
    Decision {
        stop: remaining == 0 || (confidence < 1.0 && doubt <= 1.0 - confidence),
        leader: judgement.order.first().map(|&class| classes[class].first()),
        confidence: judgement.confidence,
    }
}
