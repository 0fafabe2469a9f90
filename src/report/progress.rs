//! How far a run is: a fold over its events. It reads no clock and draws nothing.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use time::OffsetDateTime;

use crate::artifact::{Cause, InstanceId, InstanceOutcome, Outcome, Stage, Usage};
use crate::event::{Event, EventKind};
use crate::report::Prices;

/// Seconds over which tokens and executions a second are counted.
const WINDOW: i64 = 60;

/// Instances from whose ends the time left is told.
const PACE: usize = 50;

/// As much of an event as the counts need; read from a log without taking it apart further.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    RunStarted { instances: usize, finished: usize, solved: usize },
    InstanceStarted,
    StageStarted(Stage),
    Asked(u64),
    Unanswered(u64),
    Replied { usage: Usage, journaled: bool },
    Retried,
    Executed(Outcome),
    Ended(Ended),
    Through,
    RunFinished,
    Other,
}

/// How an instance ended, without the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Solved,
    NoCandidate,
    Failed(Cause),
    Cancelled,
    /// The wanted part of the stages is through.
    Through,
}

impl Ended {
    pub(super) fn of(outcome: &InstanceOutcome) -> Self {
        match outcome {
            InstanceOutcome::Solved => Self::Solved,
            InstanceOutcome::NoCandidate => Self::NoCandidate,
            InstanceOutcome::Failed { cause, .. } => Self::Failed(*cause),
            InstanceOutcome::Cancelled => Self::Cancelled,
        }
    }
}

impl Step {
    pub(super) fn of(kind: &EventKind) -> Self {
        match kind {
            EventKind::RunStarted { instances, finished, solved } => {
                Self::RunStarted { instances: *instances, finished: *finished, solved: *solved }
            }
            EventKind::InstanceStarted => Self::InstanceStarted,
            EventKind::StageStarted { stage } => Self::StageStarted(*stage),
            EventKind::ModelAsked { samples, .. } => Self::Asked(u64::from(*samples)),
            EventKind::ModelFailed { samples, .. } => Self::Unanswered(u64::from(*samples)),
            EventKind::ModelReplied { usage, journaled, .. } => {
                Self::Replied { usage: *usage, journaled: *journaled }
            }
            EventKind::ModelRetried { .. } => Self::Retried,
            EventKind::Executed { outcome, .. } => Self::Executed(*outcome),
            EventKind::InstanceFinished { outcome, .. } => Self::Ended(Ended::of(outcome)),
            EventKind::InstanceThrough { .. } => Self::Through,
            EventKind::RunFinished { .. } => Self::RunFinished,
            EventKind::ModelPaced { .. }
            | EventKind::StageFinished { .. }
            | EventKind::Notice { .. } => Self::Other,
        }
    }
}

/// An instance that is being worked on.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Place {
    stage: Option<Stage>,
    under_way: u64,
}

/// What happened within one second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Second {
    second: i64,
    tokens: u64,
    executions: u64,
}

/// The counts of a run. Memory grows with instances, never with events.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    instances: usize,
    finished_before: usize,
    solved_before: usize,
    started: Option<OffsetDateTime>,
    finished: Option<OffsetDateTime>,
    last: Option<OffsetDateTime>,
    processes: usize,
    active: BTreeMap<String, Place>,
    ended: BTreeMap<String, Ended>,
    /// When the last instances ended in this process, oldest first.
    ends: VecDeque<OffsetDateTime>,
    ends_counted: usize,
    asked: Usage,
    journaled: Usage,
    answered: u64,
    from_journal: u64,
    unanswered: u64,
    retried: u64,
    executions: Executed,
    recent: VecDeque<Second>,
}

/// Instances by what became of them. Every instance is in one place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// All.
    pub instances: usize,
    /// Not begun, or to be begun again.
    pub waiting: usize,
    /// Being worked on, by stage.
    pub at_work: BTreeMap<Stage, usize>,
    /// With a chosen candidate.
    pub solved: usize,
    /// Ended without a usable candidate.
    pub no_candidate: usize,
    /// Failed, by cause.
    pub failed: BTreeMap<String, usize>,
    /// Begun and left: stopped by the user or killed.
    pub stopped: usize,
    /// Through the wanted part of the stages.
    pub through: usize,
}

impl Counts {
    /// Instances that failed.
    #[must_use]
    pub fn all_failed(&self) -> usize {
        self.failed.values().sum()
    }

    /// Instances that are done with.
    #[must_use]
    pub fn ended(&self) -> usize {
        self.solved + self.no_candidate + self.all_failed() + self.through
    }

    /// Instances at work in all stages.
    #[must_use]
    pub fn all_at_work(&self) -> usize {
        self.at_work.values().sum()
    }
}

/// Test runs by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Executed {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Said neither.
    pub errors: u64,
    /// Ran past their limit.
    pub timeouts: u64,
    /// Never ran.
    pub not_run: u64,
}

impl Executed {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.passed + self.failed + self.errors + self.timeouts + self.not_run
    }
}

/// A run at one moment, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Instances by what became of them.
    pub counts: Counts,
    /// Tokens that the model was asked for.
    pub asked: Usage,
    /// Tokens of answers that a journal gave and that cost nothing.
    pub journaled: Usage,
    /// Answers of the model.
    pub answered: u64,
    /// Answers of a journal.
    pub from_journal: u64,
    /// Samples that the model was asked for in vain.
    pub unanswered: u64,
    /// Requests that were repeated.
    pub retried: u64,
    /// Samples asked for that are not answered yet.
    pub under_way: u64,
    /// Test runs.
    pub executions: Executed,
    /// Tokens of answers a second over the last minute.
    pub tokens_per_second: Option<f64>,
    /// Test runs a second over the last minute.
    pub executions_per_second: Option<f64>,
    /// Cost of the tokens asked for; absent without prices.
    pub cost: Option<f64>,
    /// Seconds since the last process began; until its end where it ended.
    pub elapsed: Option<f64>,
    /// Seconds until the end at the pace of the last instances; absent before two have ended.
    pub eta: Option<f64>,
    /// Processes that have worked on the run.
    pub processes: usize,
    /// When the last process began.
    #[serde(with = "time::serde::rfc3339::option")]
    pub started: Option<OffsetDateTime>,
    /// When the last event happened.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_event: Option<OffsetDateTime>,
    /// Whether the last process came to its end.
    pub finished: bool,
}

impl Progress {
    /// Takes one event.
    pub fn follow(&mut self, event: &Event) {
        let instance = event.instance.as_ref().map(InstanceId::as_str);
        self.take(event.at, instance, Step::of(&event.kind));
    }

    pub(super) fn take(&mut self, at: OffsetDateTime, instance: Option<&str>, step: Step) {
        // Events of several processes may lie in one log: time does not run backwards here.
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        match step {
            Step::RunStarted { instances, finished, solved } => {
                self.begin(at, instances, finished, solved);
            }
            Step::RunFinished => self.finished = Some(at),
            Step::Replied { usage, journaled: true } => {
                self.from_journal += 1;
                self.journaled += usage;
            }
            Step::Replied { usage, journaled: false } => {
                self.answered += 1;
                self.asked += usage;
                self.second(at).tokens += usage.completion_tokens;
                self.less_under_way(instance, 1);
            }
            Step::Unanswered(samples) => {
                self.unanswered += samples;
                self.less_under_way(instance, samples);
            }
            Step::Retried => self.retried += 1,
            Step::Executed(outcome) => {
                let count = match outcome {
                    Outcome::Pass => &mut self.executions.passed,
                    Outcome::Fail => &mut self.executions.failed,
                    Outcome::Error => &mut self.executions.errors,
                    Outcome::Timeout => &mut self.executions.timeouts,
                    Outcome::NotRun => &mut self.executions.not_run,
                };
                *count += 1;
                self.second(at).executions += 1;
            }
            Step::InstanceStarted
            | Step::StageStarted(_)
            | Step::Asked(_)
            | Step::Ended(_)
            | Step::Through => {
                if let Some(id) = instance {
                    self.move_on(at, id, step);
                }
            }
            Step::Other => {}
        }
    }

    fn begin(&mut self, at: OffsetDateTime, instances: usize, finished: usize, solved: usize) {
        (self.instances, self.finished_before) = (instances, finished);
        self.solved_before = solved.min(finished);
        (self.started, self.finished) = (Some(at), None);
        self.processes += 1;
        // What a killed process left is not at work any more.
        self.active.clear();
        self.ended.clear();
        self.ends.clear();
        self.ends_counted = 0;
    }

    fn move_on(&mut self, at: OffsetDateTime, id: &str, step: Step) {
        let ended = match step {
            Step::Ended(ended) => ended,
            Step::Through => Ended::Through,
            Step::Asked(samples) => {
                if let Some(place) = self.active.get_mut(id) {
                    place.under_way += samples;
                }
                return;
            }
            _ => {
                if !self.active.contains_key(id) {
                    self.ended.remove(id);
                    self.active.insert(id.to_owned(), Place::default());
                }
                if let (Step::StageStarted(stage), Some(place)) = (step, self.active.get_mut(id)) {
                    place.stage = Some(stage);
                }
                return;
            }
        };
        self.active.remove(id);
        self.ended.insert(id.to_owned(), ended);
        if ended != Ended::Cancelled {
            self.ends_counted += 1;
            self.ends.push_back(at);
            if self.ends.len() > PACE + 1 {
                self.ends.pop_front();
            }
        }
    }

    fn less_under_way(&mut self, instance: Option<&str>, samples: u64) {
        if let Some(place) = instance.and_then(|id| self.active.get_mut(id)) {
            place.under_way = place.under_way.saturating_sub(samples);
        }
    }

    fn second(&mut self, at: OffsetDateTime) -> &mut Second {
        let second = at.unix_timestamp();
        while self.recent.front().is_some_and(|oldest| oldest.second <= second - WINDOW) {
            self.recent.pop_front();
        }
        let new = Second { second, tokens: 0, executions: 0 };
        if self.recent.back().is_none_or(|newest| newest.second != second) {
            self.recent.push_back(new);
        }
        let place = self.recent.len() - 1;
        &mut self.recent[place]
    }

    /// When the last event happened.
    #[must_use]
    pub fn last_event(&self) -> Option<OffsetDateTime> {
        self.last
    }

    /// The instances being worked on, with the stage that each is in.
    pub fn at_work(&self) -> impl Iterator<Item = (&str, Stage)> {
        self.active.iter().map(|(id, place)| (id.as_str(), stage(place)))
    }

    /// The counts by the events of the last process alone.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            instances: self.instances,
            solved: self.solved_before,
            no_candidate: self.finished_before - self.solved_before,
            ..Counts::default()
        };
        for place in self.active.values() {
            *counts.at_work.entry(stage(place)).or_default() += 1;
        }
        for ended in self.ended.values() {
            match ended {
                Ended::Solved => counts.solved += 1,
                Ended::NoCandidate => counts.no_candidate += 1,
                Ended::Failed(cause) => *counts.failed.entry(cause.to_string()).or_default() += 1,
                Ended::Cancelled => counts.stopped += 1,
                Ended::Through => counts.through += 1,
            }
        }
        let known = counts.ended() + counts.all_at_work() + counts.stopped;
        counts.waiting = self.instances.saturating_sub(known);
        counts
    }

    /// Tokens that the model was asked for; answers from journals cost none.
    #[must_use]
    pub fn asked(&self) -> Usage {
        self.asked
    }

    /// The run at `now`; `counts` as [`Progress::counts`], or from the run's files.
    #[must_use]
    pub fn snapshot(
        &self,
        now: OffsetDateTime,
        counts: Counts,
        prices: Option<&Prices>,
    ) -> Snapshot {
        let until = self.finished.unwrap_or(now);
        let elapsed = self.started.map(|started| (until - started).as_seconds_f64().max(0.0));
        let [tokens, executions] = self.rates(now);
        Snapshot {
            asked: self.asked,
            journaled: self.journaled,
            answered: self.answered,
            from_journal: self.from_journal,
            unanswered: self.unanswered,
            retried: self.retried,
            under_way: self.active.values().map(|place| place.under_way).sum(),
            executions: self.executions,
            tokens_per_second: tokens,
            executions_per_second: executions,
            cost: prices.map(|prices| prices.cost(&self.asked)),
            elapsed,
            eta: self.eta(now, &counts),
            processes: self.processes,
            started: self.started,
            last_event: self.last,
            finished: self.finished.is_some(),
            counts,
        }
    }

    /// Tokens and executions a second over the last minute, or since the start if that is less.
    fn rates(&self, now: OffsetDateTime) -> [Option<f64>; 2] {
        let none = [None; 2];
        let Some(started) = self.started.filter(|_| self.finished.is_none()) else { return none };
        let since = (now - started).as_seconds_f64();
        if since < 1.0 {
            return none;
        }
        #[expect(clippy::cast_precision_loss, reason = "a minute's counts are below 2^52")]
        let (span, float) = (since.min(WINDOW as f64), |count: u64| count as f64);
        let first = now.unix_timestamp() - WINDOW;
        let recent = self.recent.iter().filter(|second| second.second > first);
        let [mut tokens, mut executions] = [0, 0];
        for second in recent {
            tokens += second.tokens;
            executions += second.executions;
        }
        [Some(float(tokens) / span), Some(float(executions) / span)]
    }

    /// Seconds left at the pace of the last instances that this process finished: those that an
    /// earlier process finished took no time of this one.
    fn eta(&self, now: OffsetDateTime, counts: &Counts) -> Option<f64> {
        let left = counts.waiting + counts.all_at_work();
        if left == 0 || self.finished.is_some() || self.ends_counted < 2 {
            return None;
        }
        // Beyond `PACE` the oldest end is where the span begins, so it is no part of the count.
        let (since, count) = if self.ends_counted > PACE {
            (*self.ends.front()?, PACE)
        } else {
            (self.started?, self.ends_counted)
        };
        let span = (now - since).as_seconds_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts of instances are far below 2^52")]
        let eta = span / count as f64 * left as f64;
        (span > 0.0).then_some(eta)
    }
}

/// Before its first stage an instance's repository is fetched, which is where the first one begins.
fn stage(place: &Place) -> Stage {
    place.stage.unwrap_or(Stage::Localize)
}

#[cfg(test)]
mod tests;
