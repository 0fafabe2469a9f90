//! Weights of the score: what `evaluation/selection` printed, command `fit`.

use crate::stage::rerank::evidence::traits::{CONTEXTS, Context, Trait};

/// A trait, a context and the weight of their product.
pub type Term = (Trait, Context, f64);

/// The score of a class is the sum over these.
pub const TERMS: [Term; 27] = [
    (Trait::Votes, Context::Always, 1.174),
    (Trait::Share, Context::Always, -0.992),
    (Trait::Passed, Context::Always, 5.375),
    (Trait::Witnesses, Context::Always, 0.457),
    (Trait::Surprise, Context::Always, -0.442),
    (Trait::Company, Context::Always, -2.851),
    (Trait::Behaviour, Context::Always, -2.053),
    (Trait::BehaviourShare, Context::Always, 17.006),
    (Trait::Failures, Context::Always, -0.858),
    (Trait::Consensus, Context::Always, -0.157),
    (Trait::Rarity, Context::Always, -3.398),
    (Trait::Behaviour, Context::Behaviours, 0.816),
    (Trait::Consensus, Context::Behaviours, 0.752),
    (Trait::Consensus, Context::Classes, -0.547),
    (Trait::Witnesses, Context::OneOpinion, -0.309),
    (Trait::Behaviour, Context::Votes, -0.507),
    (Trait::BehaviourShare, Context::Largest, 3.467),
    (Trait::Votes, Context::Classes, 0.326),
    (Trait::Witnesses, Context::PassRate, -0.326),
    (Trait::Company, Context::Agreement, 0.787),
    (Trait::Rarity, Context::Agreement, -0.329),
    (Trait::Consensus, Context::PassRate, 0.351),
    (Trait::Consensus, Context::Best, -0.542),
    (Trait::Behaviour, Context::Scripts, -0.428),
    (Trait::Rarity, Context::Best, 0.507),
    (Trait::Share, Context::Scripts, 3.612),
    (Trait::Consensus, Context::Votes, 0.104),
];

/// Mean and spread of each context over the cases of the fit: contexts count in these units.
pub const SCALES: [(f64, f64); CONTEXTS] = [
    (0.000, 1.000), // Always
    (2.034, 0.481), // Behaviours
    (2.760, 0.758), // Classes
    (3.595, 0.880), // Votes
    (0.351, 0.159), // Largest
    (2.391, 0.913), // Scripts
    (0.369, 0.130), // PassRate
    (0.698, 0.241), // Best
    (0.002, 0.576), // Agreement
    (0.430, 0.235), // OneOpinion
];

/// Score of "no candidate is right": a weight for each context, then one for the square root of the
/// number of scripts that tell classes apart, since these raise every class's score.
pub const NONE_RIGHT: [f64; CONTEXTS + 1] =
    [-4.384, 2.550, -0.018, -2.543, 1.229, -2.482, 0.692, -0.131, -0.395, -0.430, 2.869];
