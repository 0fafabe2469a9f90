//! Solve rates: policies on cases, at full and at smaller budgets.

use std::collections::{BTreeMap, BTreeSet};

use agent::artifact::{Candidate, CandidateId, Execution, Subject, TestKind};
use agent::stage::rerank::{Policy, RerankConfig, rerank};

use crate::random::Random;
use crate::simulator::Case;

/// Solved by each policy, and the cases in which a right candidate is in the pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) cases: usize,
    pub(crate) solvable: usize,
    /// In the order of [`Policy::ALL`].
    pub(crate) solved: [usize; Policy::ALL.len()],
}

impl Score {
    /// Judges one case by every policy.
    pub(crate) fn of(case: &Case) -> Self {
        let mut score = Self { cases: 1, ..Self::default() };
        if !solvable(case) {
            return score;
        }
        score.solvable = 1;
        for (solved, policy) in score.solved.iter_mut().zip(Policy::ALL) {
            let ranking = rerank(&RerankConfig { policy }, &case.candidates, &case.executions);
            *solved = usize::from(is_right(case, ranking.chosen));
        }
        score
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.solvable += other.solvable;
        for (sum, solved) in self.solved.iter_mut().zip(other.solved) {
            *sum += solved;
        }
    }

    /// Solved cases of a policy.
    pub(crate) fn by(&self, policy: Policy) -> usize {
        Policy::ALL.iter().position(|p| *p == policy).map_or(0, |index| self.solved[index])
    }
}

/// Whether the pool holds a right candidate.
pub(crate) fn solvable(case: &Case) -> bool {
    case.candidates.iter().any(|candidate| is_right(case, Some(candidate.id)))
}

/// Whether the chosen candidate is right.
pub(crate) fn is_right(case: &Case, chosen: Option<CandidateId>) -> bool {
    chosen.is_some_and(|id| {
        case.candidates.iter().any(|candidate| {
            candidate.id == id && candidate.is_ok() && case.right.contains(&key(candidate))
        })
    })
}

/// Names a class as `stage::rerank` does.
pub(crate) fn key(candidate: &Candidate) -> String {
    if candidate.class.is_empty() {
        format!("text:{}", candidate.patch)
    } else {
        candidate.class.clone()
    }
}

/// 95 % Wilson interval of `successes` out of `trials`.
pub(crate) fn wilson(successes: usize, trials: usize) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (n, z) = (trials as f64, 1.959_964);
    let p = successes as f64 / n;
    let middle = p + z * z / (2.0 * n);
    let width = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    (((middle - width) / scale).max(0.0), ((middle + width) / scale).min(1.0))
}

/// Sums the scores of `count` cases over the machine's cores; the result does not depend on them.
pub(crate) fn total<T: Send + Default>(
    count: usize,
    one: impl Fn(usize) -> T + Sync,
    add: impl Fn(&mut T, T) + Sync,
) -> T {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts: Vec<T> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let (one, add) = (&one, &add);
                scope.spawn(move || {
                    let mut sum = T::default();
                    for index in (worker..count).step_by(threads) {
                        add(&mut sum, one(index));
                    }
                    sum
                })
            })
            .collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let mut sum = T::default();
    for part in parts {
        add(&mut sum, part);
    }
    sum
}

/// Names of the scripts that ran on candidates.
pub(crate) fn script_names(case: &Case) -> BTreeSet<&str> {
    let rows = case.executions.iter();
    rows.filter(|row| row.kind == TestKind::Reproduction && row.subject != Subject::Base)
        .map(|row| row.test.as_str())
        .collect()
}

/// The first `samples` candidates and `tests` scripts of a random order; regression tests stay.
///
/// Candidates are numbered anew in that order, since ties go to the lowest number, and what is
/// known of a class moves to its first member that is left.
pub(crate) fn subsample(case: &Case, samples: usize, tests: usize, random: &mut Random) -> Case {
    let order = random.order(case.candidates.len());
    let all: Vec<&str> = script_names(case).into_iter().collect();
    let names: BTreeSet<&str> =
        random.order(all.len()).into_iter().take(tests).map(|index| all[index]).collect();
    let class_of: BTreeMap<CandidateId, String> =
        case.candidates.iter().filter(|c| c.is_ok()).map(|c| (c.id, key(c))).collect();
    let candidates: Vec<Candidate> = order
        .into_iter()
        .take(samples)
        .zip(0u32..)
        .map(|(index, sample)| Candidate {
            id: CandidateId(sample),
            sample,
            ..case.candidates[index].clone()
        })
        .collect();
    let mut first: BTreeMap<String, CandidateId> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.is_ok()) {
        first.entry(key(candidate)).or_insert(candidate.id);
    }
    let executions = case
        .executions
        .iter()
        .filter(|row| row.kind == TestKind::Regression || names.contains(row.test.as_str()))
        .filter_map(|row| {
            let Subject::Candidate(id) = row.subject else { return None };
            let subject = Subject::Candidate(*first.get(class_of.get(&id)?)?);
            Some(Execution { subject, ..row.clone() })
        })
        .collect();
    Case { candidates, executions, right: case.right.clone() }
}
