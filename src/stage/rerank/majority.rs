//! Plain self-consistency: the class with most samples.

use std::cmp::Reverse;

use crate::artifact::RankedCandidate;
use crate::stage::rerank::CandidateClass;

/// Most votes first; ties go to the class whose first sample is earlier.
pub(crate) fn rank(classes: &[CandidateClass]) -> Vec<RankedCandidate> {
    let mut order: Vec<&CandidateClass> = classes.iter().collect();
    order.sort_by_key(|class| (!class.substantive, Reverse(class.votes()), class.first()));
    order
        .into_iter()
        .map(|class| RankedCandidate { candidate: class.first(), evidence: class.facts() })
        .collect()
}
