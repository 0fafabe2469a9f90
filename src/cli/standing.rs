//! How far a run is, read from its files by another process than the one that works on it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::artifact::{Cause, InstanceId, InstanceOutcome, Stage};
use crate::cli::args::SettingsArgs;
use crate::cli::error::{CliError, Kind};
use crate::cli::session;
use crate::cli::settings::Settings;
use crate::report::{Counts, EventLog, Prices, Progress, Size, Snapshot, clock, table};
use crate::store::{RunDir, RunRecord, Worker};

/// The prices that the run was given, or those given now.
pub(crate) fn prices(
    run: &Path,
    record: &RunRecord,
    set: &[String],
) -> Result<Option<Prices>, CliError> {
    let args = SettingsArgs { set: set.to_vec(), ..SettingsArgs::default() };
    match Settings::resolve(&args, Some((&record.settings, run.join("run.json")))) {
        Ok(settings) => Ok(session::prices(&settings.config)),
        // A run can be looked at whatever its settings are worth to this version.
        Err(_) if set.is_empty() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A run that is looked at, once or again and again. Of the event log only what is new is read.
pub(crate) struct Watched {
    run: RunDir,
    log: EventLog,
    progress: Progress,
    prices: Option<Prices>,
}

/// A run at one moment.
pub(crate) struct Standing {
    record: RunRecord,
    workers: Vec<Worker>,
    pub(crate) snapshot: Snapshot,
    words: BTreeMap<&'static str, usize>,
    failures: Vec<Failure>,
    unreadable: usize,
    now: OffsetDateTime,
}

struct Failure {
    id: InstanceId,
    stage: Stage,
    cause: Cause,
    message: String,
}

impl Watched {
    pub(crate) fn new(run: RunDir, prices: Option<Prices>) -> Self {
        let log = EventLog::at(&run.events_path());
        Self { run, log, progress: Progress::default(), prices }
    }

    pub(crate) fn look(&mut self) -> Result<Standing, CliError> {
        let record = self.run.record()?.ok_or_else(|| CliError::usage("run.json is gone"))?;
        // Processes first: one that ends between the two looks has then written its last event.
        let workers = self.run.workers()?;
        let alive = workers.iter().any(|worker| worker.alive);
        self.log
            .read_on(&mut self.progress)
            .map_err(|error| CliError::from_error(Kind::Environment, error))?;
        let at_work: BTreeMap<&str, Stage> = match alive {
            true => self.progress.at_work().collect(),
            false => BTreeMap::new(),
        };
        let (mut counts, mut words, mut failures) =
            (Counts::default(), BTreeMap::new(), Vec::new());
        for id in &record.instances {
            counts.instances += 1;
            let word = if let Some(stage) = at_work.get(id.as_str()) {
                *counts.at_work.entry(*stage).or_default() += 1;
                stage.name()
            } else {
                self.rested(id, &mut counts, &mut failures)?
            };
            *words.entry(word).or_default() += 1;
        }
        let now = OffsetDateTime::now_utc();
        // A process that is gone has stopped the clock with its last event.
        let at = if alive { now } else { self.progress.last_event().unwrap_or(now) };
        let mut snapshot = self.progress.snapshot(at, counts, self.prices.as_ref());
        if !alive {
            snapshot.under_way = 0;
            (snapshot.tokens_per_second, snapshot.executions_per_second) = (None, None);
            snapshot.eta = None;
        }
        let unreadable = self.log.unreadable();
        Ok(Standing { record, workers, snapshot, words, failures, unreadable, now })
    }

    /// An instance that no process works on.
    fn rested(
        &self,
        id: &InstanceId,
        counts: &mut Counts,
        failures: &mut Vec<Failure>,
    ) -> Result<&'static str, CliError> {
        let dir = self.run.view(id)?;
        Ok(match dir.outcome()? {
            Some(InstanceOutcome::Solved) => {
                counts.solved += 1;
                "solved"
            }
            Some(InstanceOutcome::NoCandidate) => {
                counts.no_candidate += 1;
                "no candidate"
            }
            Some(InstanceOutcome::Failed { stage, cause, message, .. }) => {
                *counts.failed.entry(cause.to_string()).or_default() += 1;
                failures.push(Failure { id: id.clone(), stage, cause, message });
                "failed"
            }
            Some(InstanceOutcome::Cancelled) => {
                counts.stopped += 1;
                "cancelled"
            }
            None => match Stage::ALL.iter().rev().find(|&&stage| dir.stage(stage).is_some()) {
                Some(stage) => {
                    counts.stopped += 1;
                    stage.name()
                }
                None => {
                    counts.waiting += 1;
                    "waiting"
                }
            },
        })
    }
}

impl Standing {
    /// Whether a process works on the run.
    pub(crate) fn at_work(&self) -> bool {
        self.workers.iter().any(|worker| worker.alive)
    }

    /// Lines for people, none wider than `size` and not more than its rows.
    pub(crate) fn lines(&self, run: &Path, size: Size, color: bool) -> Vec<String> {
        let record = &self.record;
        let mut lines = vec![format!(
            "{}: {} instances of {}, model {}",
            run.display(),
            record.instances.len(),
            record.dataset,
            record.model
        )];
        lines.extend(self.processes());
        let left = Size { rows: size.rows.saturating_sub(lines.len()), ..size };
        let rows = table(&self.snapshot, left, color);
        let places = size.rows.saturating_sub(lines.len() + rows.len());
        let cut = |line: String| line.chars().take(size.columns).collect::<String>();
        let mut lines: Vec<String> = lines.into_iter().map(cut).chain(rows).collect();
        let mut told = self.failed();
        if self.unreadable > 0 {
            told.push(format!("{} lines of the event log are no events", self.unreadable));
        }
        if told.len() > places {
            let more = told.len() - places.saturating_sub(1);
            told.truncate(places.saturating_sub(1));
            told.push(format!("and {more} more lines"));
            told.truncate(places);
        }
        // Where everything is shown, messages are shown whole.
        let whole = size.rows == usize::MAX;
        lines.extend(told.into_iter().map(|line| if whole { line } else { cut(line) }));
        lines
    }

    fn processes(&self) -> Vec<String> {
        let ago = |at: OffsetDateTime| clock(Some((self.now - at).as_seconds_f64().max(0.0)));
        let last = match self.snapshot.last_event {
            Some(at) => format!("last event {} ago", ago(at)),
            None => "no event yet".to_owned(),
        };
        let mut lines = Vec::new();
        for worker in &self.workers {
            let began = worker.started.replace_nanosecond(0).unwrap_or(worker.started);
            let began = began.format(&Rfc3339).unwrap_or_default();
            let what = if worker.alive { "at work since" } else { "killed, had begun at" };
            lines.push(format!("process     {} on {}, {what} {began}", worker.pid, worker.host));
        }
        if self.at_work() {
            if let Some(line) = lines.last_mut() {
                let _ = write!(line, ", {last}");
            }
        } else {
            lines.push(format!("process     none at work, {last}"));
        }
        lines
    }

    /// Failures by cause with the instances.
    fn failed(&self) -> Vec<String> {
        let mut by_cause: BTreeMap<String, Vec<&Failure>> = BTreeMap::new();
        for failure in &self.failures {
            by_cause.entry(failure.cause.to_string()).or_default().push(failure);
        }
        let mut lines = Vec::new();
        for (cause, failures) in by_cause {
            lines.push(format!("failed ({cause}): {}", failures.len()));
            for Failure { id, stage, message, .. } in failures {
                let message = message.lines().next().unwrap_or_default();
                lines.push(format!("  {id}: {stage} ({cause}): {message}"));
            }
        }
        lines
    }

    pub(crate) fn json(&self, run: &Path) -> Value {
        let failures: Vec<_> = self
            .failures
            .iter()
            .map(|Failure { id, stage, cause, message }| {
                json!({"instance_id": id, "stage": stage, "cause": cause, "message": message})
            })
            .collect();
        json!({
            "run": run,
            "instances": self.record.instances.len(),
            "model": self.record.model,
            "dataset": self.record.dataset,
            "at_work": self.at_work(),
            "processes": self.workers,
            "counts": self.words,
            "progress": self.snapshot,
            "failures": failures,
            "unreadable_lines": self.unreadable,
        })
    }
}
