//! What the stopping rule saves: samples and executions, at which loss.

use agent::artifact::{Execution, Subject};
use agent::stage::rerank::{Policy, RerankConfig, rerank, should_stop};

use crate::measure::is_right;
use crate::simulator::Case;

/// Samples drawn before the rule is asked again.
const STEP: usize = 4;

/// Sums over cases.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Saved {
    pub(crate) cases: usize,
    /// Solved with all samples, and with those drawn until the rule stops.
    pub(crate) solved: (usize, usize),
    pub(crate) samples: (usize, usize),
    /// Runs of one test on one class.
    pub(crate) executions: (usize, usize),
}

impl Saved {
    pub(crate) fn add(&mut self, other: Self) {
        let add = |a: &mut (usize, usize), b: (usize, usize)| *a = (a.0 + b.0, a.1 + b.1);
        self.cases += other.cases;
        add(&mut self.solved, other.solved);
        add(&mut self.samples, other.samples);
        add(&mut self.executions, other.executions);
    }

    /// Draws the case's samples in order and stops when the rule says so.
    pub(crate) fn of(case: &Case, confidence: f64) -> Self {
        let all = case.candidates.len();
        let mut drawn = 0;
        let mut part = first(case, 0);
        while drawn < all {
            drawn = (drawn + STEP).min(all);
            part = first(case, drawn);
            let left = all - drawn;
            if should_stop(&part.candidates, &part.executions, left, confidence).stop {
                break;
            }
        }
        let solved = |case: &Case| {
            let config = RerankConfig { policy: Policy::Evidence };
            let ranking = rerank(&config, &case.candidates, &case.executions);
            usize::from(is_right(case, ranking.chosen))
        };
        Self {
            cases: 1,
            solved: (solved(case), solved(&part)),
            samples: (all, drawn),
            executions: (case.executions.len(), part.executions.len()),
        }
    }
}

/// The first `samples` candidates, with every test.
fn first(case: &Case, samples: usize) -> Case {
    let belongs = |row: &&Execution| matches!(row.subject, Subject::Candidate(id) if (id.0 as usize) < samples);
    Case {
        candidates: case.candidates[..samples].to_vec(),
        executions: case.executions.iter().filter(belongs).cloned().collect(),
        right: case.right.clone(),
    }
}
