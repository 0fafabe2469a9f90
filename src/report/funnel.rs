//! The loss funnel: how many samples fell at which step, of one instance or of many.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;

use crate::artifact::{BaseVerdict, Candidate, Execution, Outcome, ReproductionTest, Subject};

/// Counts over samples; adding instances adds the counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Funnel {
    /// Repair samples.
    pub samples: usize,
    /// Samples without a patch, by reason code.
    pub lost: BTreeMap<String, usize>,
    /// Samples with a patch.
    pub patches: usize,
    /// Edits of these by the rule that placed them.
    pub rules: BTreeMap<String, usize>,
    /// Different changes: classes, counted in each instance.
    pub changes: usize,
    /// Of these, changes of comments, docstrings or layout only.
    pub cosmetic: usize,
    /// Of these, changes that the sandbox's tree refused, so that no test says anything.
    pub not_run: usize,
    /// Reproduction scripts drawn.
    pub scripts: usize,
    /// Scripts by what they said on the base commit.
    pub scripts_by_verdict: BTreeMap<String, usize>,
}

impl Funnel {
    /// Counts one instance.
    pub fn add(
        &mut self,
        candidates: &[Candidate],
        tests: &[ReproductionTest],
        executions: &[Execution],
    ) {
        let count = |counts: &mut BTreeMap<String, usize>, key: &str| {
            *counts.entry(key.to_owned()).or_default() += 1;
        };
        let refused: BTreeSet<Subject> = executions
            .iter()
            .filter(|row| row.outcome == Outcome::NotRun)
            .map(|row| row.subject)
            .collect();
        self.samples += candidates.len();
        let mut seen = BTreeSet::new();
        for candidate in candidates {
            if !candidate.is_ok() {
                let code = candidate.reason.split(':').next().filter(|code| !code.is_empty());
                count(&mut self.lost, code.unwrap_or("unknown"));
                continue;
            }
            self.patches += 1;
            for rule in &candidate.rules {
                count(&mut self.rules, rule);
            }
            self.not_run += usize::from(refused.contains(&Subject::Candidate(candidate.id)));
            let class = &candidate.class;
            if seen.insert(if class.is_empty() { &candidate.patch } else { class }) {
                self.changes += 1;
                self.cosmetic += usize::from(!candidate.substantive);
            }
        }
        self.scripts += tests.len();
        for test in tests {
            count(&mut self.scripts_by_verdict, verdict(test.base));
        }
    }

    /// The samples in one or two lines, without a line end.
    #[must_use]
    pub fn samples_line(&self) -> String {
        let lost = match self.lost.is_empty() {
            true => String::new(),
            false => format!(" (lost: {})", list(&self.lost)),
        };
        let mut line = format!("{} drawn, {} with a patch{lost}", self.samples, self.patches);
        if self.patches > 0 {
            let _ = write!(line, "\n  {} different changes", self.changes);
            if self.cosmetic > 0 {
                let _ = write!(line, ", {} of comments or layout only", self.cosmetic);
            }
            if self.not_run > 0 {
                let _ = write!(line, ", {} that the sandbox refused", self.not_run);
            }
        }
        if !self.rules.is_empty() {
            let _ = write!(line, "\n  edits placed: {}", list(&self.rules));
        }
        line
    }

    /// The scripts in one line, without a line end.
    #[must_use]
    pub fn scripts_line(&self) -> String {
        format!("{} scripts: {}", self.scripts, list(&self.scripts_by_verdict))
    }
}

fn verdict(base: BaseVerdict) -> &'static str {
    match base {
        BaseVerdict::Reproduced => "reproduce the issue",
        BaseVerdict::Resolved => "do not show it",
        BaseVerdict::Other => "say something else",
        BaseVerdict::Error => "are no script",
        BaseVerdict::Timeout => "run too long",
    }
}

/// `28 exact, 3 reindented`, the most first.
fn list(counts: &BTreeMap<String, usize>) -> String {
    let mut counts: Vec<(&String, &usize)> = counts.iter().collect();
    counts.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let parts: Vec<String> = counts.iter().map(|(name, n)| format!("{n} {name}")).collect();
    parts.join(", ")
}
