//! A run in numbers: how its instances ended, where samples fell, what was spent.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use crate::artifact::{InstanceOutcome, Stage, Usage};
use crate::event::{Event, EventKind};
use crate::report::{Evidence, Funnel, Prices, Reporter};

/// What the benchmark's tests said of one instance's prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "grade", rename_all = "snake_case")]
pub enum Grade {
    /// All tests did what they should.
    Resolved,
    /// They did not.
    Unresolved {
        /// A sign of why, if one was found.
        reason: String,
    },
    /// No verdict.
    Error {
        /// Which step failed, and how.
        message: String,
    },
    /// There was nothing to grade.
    NoPatch,
}

/// Instances by grade, and the rate that they show.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Graded {
    /// Instances with a grade, those without a patch included.
    pub graded: usize,
    /// Of these, resolved.
    pub resolved: usize,
    /// Not resolved.
    pub unresolved: usize,
    /// Without a verdict.
    pub errors: usize,
    /// Without a patch.
    pub no_patch: usize,
    /// Resolved among the graded.
    pub rate: f64,
    /// Wilson's interval of that rate at 95 %.
    pub interval: [f64; 2],
}

/// Time that a stage took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct StageTime {
    /// Instances that finished it.
    pub finished: usize,
    /// Sum of their wall times.
    pub seconds: f64,
    /// The longest.
    pub longest: f64,
}

/// What one kind of request took, by the event log. A resumed run counts what each of its processes
/// did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Spent {
    /// Samples that the model answered.
    pub asked: usize,
    /// Samples that a journal answered, which cost nothing.
    pub journaled: usize,
    /// Requests that were repeated.
    pub retried: usize,
    /// Tokens of the samples that were asked for.
    pub usage: Usage,
}

/// All counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Instances of the run.
    pub instances: usize,
    /// With a chosen patch.
    pub solved: usize,
    /// Ended without a usable candidate.
    pub no_candidate: usize,
    /// Failed, by cause.
    pub failed: BTreeMap<String, usize>,
    /// Stopped, or not begun, or still being worked on.
    pub unfinished: usize,
    /// Absent without grades.
    pub grades: Option<Graded>,
    /// Samples.
    pub funnel: Funnel,
    /// By stage.
    pub stages: BTreeMap<Stage, StageTime>,
    /// By kind of request; empty where no event log is there.
    pub model: BTreeMap<String, Spent>,
    /// Cost of the tokens asked for; absent without prices.
    pub cost: Option<f64>,
}

impl Totals {
    /// Counts one instance. `times` holds the stages that are finished.
    pub fn add(&mut self, evidence: &Evidence, times: &[(Stage, f64)], grade: Option<&Grade>) {
        self.instances += 1;
        match &evidence.outcome {
            Some(InstanceOutcome::Solved) => self.solved += 1,
            Some(InstanceOutcome::NoCandidate) => self.no_candidate += 1,
            Some(InstanceOutcome::Failed { cause, .. }) => {
                *self.failed.entry(cause.to_string()).or_default() += 1;
            }
            Some(InstanceOutcome::Cancelled) | None => self.unfinished += 1,
        }
        self.funnel.add(&evidence.candidates, &evidence.tests, &evidence.executions);
        for (stage, seconds) in times {
            let time = self.stages.entry(*stage).or_default();
            time.finished += 1;
            time.seconds += seconds;
            time.longest = time.longest.max(*seconds);
        }
        if let Some(grade) = grade {
            let grades = self.grades.get_or_insert_default();
            grades.graded += 1;
            match grade {
                Grade::Resolved => grades.resolved += 1,
                Grade::Unresolved { .. } => grades.unresolved += 1,
                Grade::Error { .. } => grades.errors += 1,
                Grade::NoPatch => grades.no_patch += 1,
            }
            let (resolved, graded) = (ratio(grades.resolved), ratio(grades.graded));
            grades.rate = resolved / graded;
            grades.interval = wilson(resolved, graded);
        }
    }
}

impl Totals {
    /// Tokens asked for, over all kinds of request.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut all = Usage::default();
        for spent in self.model.values() {
            all += spent.usage;
        }
        all
    }

    /// Says what the tokens asked for cost.
    pub fn charge(&mut self, prices: Option<&Prices>) {
        self.cost = prices.map(|prices| prices.cost(&self.usage()));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of instances are far below 2^52")]
fn ratio(count: usize) -> f64 {
    count as f64
}

/// Wilson's interval at 95 %: unlike the normal one it stays within 0 and 1, also for few instances.
fn wilson(successes: f64, n: f64) -> [f64; 2] {
    const Z: f64 = 1.959_963_984_540_054;
    if n <= 0.0 {
        return [0.0, 1.0];
    }
    let p = successes / n;
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    [((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0)]
}

/// Adds up the event log.
impl Reporter for Totals {
    fn name(&self) -> &'static str {
        "totals"
    }

    fn report(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::ModelReplied { call, usage, journaled, .. } => {
                let spent = self.model.entry(call.clone()).or_default();
                if *journaled {
                    spent.journaled += 1;
                } else {
                    spent.asked += 1;
                    spent.usage += *usage;
                }
            }
            EventKind::ModelRetried { call, .. } => {
                self.model.entry(call.clone()).or_default().retried += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::Cause;

    #[test]
    fn wilsons_interval_is_the_published_one_and_never_leaves_the_unit() {
        // Newcombe 1998, table I: 81 of 263 and 0 of 20.
        let [low, high] = wilson(81.0, 263.0);
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5, "{low} {high}");
        let [low, high] = wilson(0.0, 20.0);
        assert!(low == 0.0 && (high - 0.1611).abs() < 5e-5, "{low} {high}");
        assert_eq!(wilson(0.0, 0.0), [0.0, 1.0]);
    }

    #[test]
    fn outcomes_grades_and_tokens_are_counted_apart() {
        let mut totals = Totals::default();
        let ended = |outcome| Evidence { outcome: Some(outcome), ..Evidence::default() };
        let failed = InstanceOutcome::Failed {
            stage: Stage::Repair,
            cause: Cause::Infra,
            message: String::new(),
            hint: String::new(),
        };
        totals.add(
            &ended(InstanceOutcome::Solved),
            &[(Stage::Repair, 2.0)],
            Some(&Grade::Resolved),
        );
        totals.add(
            &ended(InstanceOutcome::NoCandidate),
            &[(Stage::Repair, 5.0)],
            Some(&Grade::NoPatch),
        );
        totals.add(&ended(failed), &[], None);
        totals.add(&Evidence::default(), &[], None);
        assert_eq!((totals.solved, totals.no_candidate, totals.unfinished), (1, 1, 1));
        assert_eq!(totals.failed["infra"], 1);
        let time = &totals.stages[&Stage::Repair];
        assert_eq!((time.finished, time.seconds, time.longest), (2, 7.0, 5.0));
        let grades = totals.grades.as_ref().unwrap();
        assert_eq!((grades.graded, grades.resolved, grades.rate), (2, 1, 0.5));

        let usage = Usage { prompt_tokens: 3, cached_tokens: 0, completion_tokens: 4 };
        for journaled in [true, false] {
            let kind = EventKind::ModelReplied {
                call: "repair".into(),
                sample: 0,
                usage,
                journaled,
                seconds: 0.0,
            };
            let at = time::OffsetDateTime::UNIX_EPOCH;
            totals.report(&Event { at, instance: None, kind }).unwrap();
        }
        let spent = &totals.model["repair"];
        assert_eq!((spent.asked, spent.journaled, spent.usage), (1, 1, usage));
        totals.charge(None);
        assert_eq!(totals.cost, None);
        totals.charge(Some(&Prices { prompt: 1e6, cached: 0.0, completion: 1e5 }));
        assert!((totals.cost.unwrap() - 3.4).abs() < 1e-9);
    }
}
