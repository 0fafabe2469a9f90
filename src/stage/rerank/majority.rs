//! Plain self-consistency: the class with most samples.

use std::cmp::Reverse;

use serde_json::{Map, json};

use crate::artifact::RankedCandidate;
use crate::stage::rerank::CandidateClass;

/// Most votes first; ties go to the class whose first sample is earlier.
pub(crate) fn rank(classes: &[CandidateClass]) -> Vec<RankedCandidate> {
    let mut order: Vec<&CandidateClass> = classes.iter().collect();
    order.sort_by_key(|class| (!class.substantive, Reverse(class.votes()), class.first()));
    order
        .into_iter()
        .map(|class| {
            let mut evidence = Map::new();
            evidence.insert("votes".into(), json!(class.votes()));
            evidence.insert("substantive".into(), json!(class.substantive));
            RankedCandidate { candidate: class.first(), evidence }
        })
        .collect()
}
