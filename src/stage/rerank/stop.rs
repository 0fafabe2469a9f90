//! When more samples are not worth their cost.

use serde::{Deserialize, Serialize};

use crate::artifact::{Candidate, CandidateId, Execution};
use crate::stage::rerank::classes;
use crate::stage::rerank::evidence::{Context, Judgement};
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

/// Numbers that the expected gain depends on.
pub const SIGNS: usize = 9;

/// Weights of the signs, in the order of [`signs`]: what `evaluation/selection` printed, command
/// `fit-stop`.
pub const GAIN: [f64; SIGNS] = [0.166, 1.162, 0.364, 0.658, -0.549, -0.161, -0.144, 0.398, -1.223];

/// Probabilities are kept this far from 0 and 1 before their logarithm is taken.
const LEAST: f64 = 1e-3;

/// Votes of a behaviour that was seen once; a few more are what unlike classes lend each other.
const ONCE: f64 = 1.5;

/// Whether to draw more samples, and why.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// Draw no more.
    pub stop: bool,
    /// Whom the policy `evidence` would choose now.
    pub leader: Option<CandidateId>,
    /// Probability, 0 to 1, that the remaining samples would not turn a wrong choice into a right
    /// one, because the choice is right or because it stays wrong: what is compared with the setting.
    pub confidence: f64,
}

/// Says whether to stop after these samples and executions, `remaining` samples before the end.
///
/// The expected gain is the probability that all samples lead to a right choice, less the
/// probability that these do: a logistic function of [`signs`], fitted on simulated cases. The rule
/// stops when it is at most `1 - confidence`, so a higher confidence never stops earlier, and one of
/// 1 or more never before the end. It is pure and does not depend on the order of its inputs, so a
/// resumed run that sees the same samples decides the same. `evaluation/selection stop` measures what
/// it saves and loses.
#[must_use]
pub fn should_stop(
    candidates: &[Candidate],
    executions: &[Execution],
    remaining: usize,
    confidence: f64,
) -> Decision {
    let (signs, leader) = signs(candidates, executions, remaining);
    let score: f64 = signs.iter().zip(GAIN).map(|(x, w)| x * w).sum();
    let sure = if remaining == 0 { 1.0 } else { 1.0 / (1.0 + score.exp()) };
    Decision {
        stop: remaining == 0 || (confidence < 1.0 && sure >= confidence),
        leader,
        confidence: sure,
    }
}

/// What the expected gain depends on, and the leader:
///
/// 0. 1;
/// 1. logarithm of the probability that what the leader does is wrong;
/// 2. logarithm of the probability that no candidate is right;
/// 3. logarithm of `ln(1 + remaining / drawn)`: what `n` samples did not show, `r` more show with a
///    chance that grows like that;
/// 4. logarithm of the samples drawn;
/// 5. logarithm of the probability of the best class that behaves otherwise;
/// 6. logarithm of the number of behaviours;
/// 7. behaviours seen once, a sample (Good and Turing's estimate of what was not seen);
/// 8. the share of the votes that the leader's behaviour has.
#[must_use]
pub fn signs(
    candidates: &[Candidate],
    executions: &[Execution],
    remaining: usize,
) -> ([f64; SIGNS], Option<CandidateId>) {
    let classes = classes(candidates, executions);
    let judgement = Judgement::new(&classes, &Matrix::new(&classes, executions));
    let leader = judgement.order.first().copied();
    let place = leader.and_then(|leader| judgement.judged.iter().position(|&c| c == leader));
    let drawn = candidates.len().max(1) as f64;
    let log = |probability: f64| probability.clamp(LEAST, 1.0 - LEAST).ln();
    let (mut sure, mut second, mut once, mut share) = (0.0, 0.0, 0.0, 0.0);
    if let Some(place) = place {
        let (alike, pooled) = (&judgement.traits.alike, &judgement.traits.pooled);
        let votes: usize = judgement.judged.iter().map(|&class| classes[class].votes()).sum();
        for (other, &class) in judgement.judged.iter().enumerate() {
            let same = alike[place][other];
            sure += judgement.right[class] * same;
            second = f64::max(second, judgement.right[class] * (1.0 - same));
            if pooled[other] < ONCE {
                once += 1.0 / alike[other].iter().sum::<f64>() / drawn;
            }
        }
        share = pooled[place] / votes.max(1) as f64;
    }
    let ahead = (remaining as f64 / drawn).ln_1p();
    let signs = [
        1.0,
        log(1.0 - sure),
        log(judgement.none),
        ahead.max(LEAST).ln(),
        drawn.ln(),
        log(second),
        judgement.context(Context::Behaviours),
        once,
        share,
    ];
    (signs, leader.map(|class| classes[class].first()))
}
