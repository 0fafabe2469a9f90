//! Classes of candidates and what their executions say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::artifact::{Candidate, CandidateId, Execution, Outcome, Subject, TestKind};

/// Candidates with one normal form, and the evidence for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateClass {
    /// The normal form's digest.
    pub digest: String,
    /// Members by sample index.
    pub members: Vec<CandidateId>,
    /// Whether the change is more than comments and blanks.
    pub substantive: bool,
    /// Reproduction tests that passed.
    pub reproduction_passed: BTreeSet<String>,
    /// Reproduction tests that ran and did not pass.
    pub reproduction_failed: BTreeSet<String>,
    /// Regression tests that failed, crashed or timed out.
    pub regression_failed: BTreeSet<String>,
    /// Tests of either kind that could not be run at all.
    pub not_run: BTreeSet<String>,
}

impl CandidateClass {
    /// The member with the lowest sample index, which stands for the class.
    #[must_use]
    pub fn first(&self) -> CandidateId {
        self.members[0]
    }

    /// Votes: one a sample.
    #[must_use]
    pub fn votes(&self) -> usize {
        self.members.len()
    }

    /// What every policy puts into `ranking.json`; `agent explain` draws its table from it.
    pub(crate) fn facts(&self) -> Map<String, Value> {
        let mut facts = Map::new();
        facts.insert("votes".into(), json!(self.votes()));
        facts.insert("members".into(), json!(self.members));
        facts.insert("regression_failures".into(), json!(self.regression_failed.len()));
        if !self.regression_failed.is_empty() {
            facts.insert("regression_failed".into(), json!(self.regression_failed));
        }
        if !self.not_run.is_empty() {
            facts.insert("not_run".into(), json!(self.not_run));
        }
        facts.insert("reproduction_passed".into(), json!(self.reproduction_passed));
        facts.insert("reproduction_failed".into(), json!(self.reproduction_failed));
        if !self.substantive {
            facts.insert("substantive".into(), json!(false));
        }
        facts
    }
}

/// Groups valid candidates by class, ordered by first member. An execution on any member counts
/// for the class; where two members' executions of one test disagree, the worse outcome counts.
/// A candidate without a class digest (made by another system) is compared by its patch text.
#[must_use]
pub fn classes(candidates: &[Candidate], executions: &[Execution]) -> Vec<CandidateClass> {
    let mut by_digest: BTreeMap<String, Vec<&Candidate>> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.is_ok()) {
        let key = if candidate.class.is_empty() {
            format!("text:{}", candidate.patch)
        } else {
            candidate.class.clone()
        };
        by_digest.entry(key).or_default().push(candidate);
    }
    let mut classes: Vec<CandidateClass> = by_digest
        .into_iter()
        .map(|(digest, members)| {
            let mut ids: Vec<CandidateId> = members.iter().map(|member| member.id).collect();
            ids.sort();
            ids.dedup();
            CandidateClass {
                digest,
                members: ids,
                substantive: members.iter().any(|member| member.substantive),
                reproduction_passed: BTreeSet::new(),
                reproduction_failed: BTreeSet::new(),
                regression_failed: BTreeSet::new(),
                not_run: BTreeSet::new(),
            }
        })
        .collect();
    classes.sort_by_key(CandidateClass::first);

    let class_of: BTreeMap<CandidateId, usize> = classes
        .iter()
        .enumerate()
        .flat_map(|(index, class)| class.members.iter().map(move |&member| (member, index)))
        .collect();
    for execution in executions {
        let Subject::Candidate(id) = execution.subject else { continue };
        let Some(&index) = class_of.get(&id) else { continue };
        let class = &mut classes[index];
        let test = execution.test.clone();
        match (execution.kind, execution.outcome) {
            (_, Outcome::NotRun) => class.not_run.insert(test),
            (TestKind::Reproduction, Outcome::Pass) => class.reproduction_passed.insert(test),
            (TestKind::Reproduction, _) => class.reproduction_failed.insert(test),
            (TestKind::Regression, Outcome::Pass) => continue,
            (TestKind::Regression, _) => class.regression_failed.insert(test),
        };
    }
    for class in &mut classes {
        let worse = class.reproduction_failed.union(&class.not_run).cloned().collect::<Vec<_>>();
        for test in worse {
            class.reproduction_passed.remove(&test);
        }
    }
    classes
}
