//! Many instances side by side: admission, cancellation, budgets, resume, and the predictions at
//! the end.
//!
//! Three limits hold at the same time: instances at work, requests under way (the model client's)
//! and sessions ([`crate::tools::Sessions`]). More instances are at work than sessions, so that some
//! ask the model while others execute. Old instances go first wherever there is a line, so that they
//! finish one after another and not all at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::artifact::{Cause, Instance, InstanceId, InstanceOutcome, Prediction, Stage};
use crate::budget::Exhausted;
use crate::event::EventKind;
use crate::pipeline::{self, Ended, Inputs, Plan, Source};
use crate::queue::{Place, Queue};
use crate::store::{RunDir, StoreError};
use crate::tools::Tools;

/// A run over instances.
pub struct Batch {
    /// Instances to solve.
    pub instances: Vec<Instance>,
    /// The dataset's order, in which predictions are written: other instances may be solved in the
    /// same directory, by other processes.
    pub order: Vec<InstanceId>,
    /// What the stages do.
    pub plan: Arc<Plan>,
    /// Where repositories are found.
    pub source: Source,
    /// Where everything is saved.
    pub run: RunDir,
    /// Instances worked on at the same time.
    pub jobs: NonZeroUsize,
    /// The name under which predictions are written.
    pub name: String,
}

/// How a run ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Each instance's outcome; instances of which only a part of the stages was wanted, and done,
    /// have none. One that the end of the budget kept from being begun has failed by it.
    pub outcomes: BTreeMap<InstanceId, InstanceOutcome>,
}

impl Summary {
    /// Instances with a chosen candidate.
    #[must_use]
    pub fn solved(&self) -> usize {
        self.count(|outcome| matches!(outcome, InstanceOutcome::Solved))
    }

    /// Instances whose samples gave nothing usable.
    #[must_use]
    pub fn no_candidate(&self) -> usize {
        self.count(|outcome| matches!(outcome, InstanceOutcome::NoCandidate))
    }

    /// Instances that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.count(|outcome| matches!(outcome, InstanceOutcome::Failed { .. }))
    }

    /// Instances that the budget left unfinished; the next process takes them up again.
    #[must_use]
    pub fn over_budget(&self) -> usize {
        let budget = |outcome: &InstanceOutcome| {
            matches!(outcome, InstanceOutcome::Failed { cause: Cause::Budget, .. })
        };
        self.count(budget)
    }

    /// Instances that the next process takes up again.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.count(|outcome| matches!(outcome, InstanceOutcome::Cancelled))
    }

    fn count(&self, which: impl Fn(&InstanceOutcome) -> bool) -> usize {
        self.outcomes.values().filter(|outcome| which(outcome)).count()
    }
}

/// Solves all instances, `jobs` at a time. One instance's failure never ends the others.
///
/// Instances that an earlier process finished under the same settings are not worked on again.
///
/// # Errors
/// [`StoreError`] when the run's own files cannot be written; instances keep what they have saved.
pub async fn run(tools: &Tools, batch: &Batch) -> Result<Summary, StoreError> {
    let mut summary = Summary::default();
    let mut waiting = Vec::new();
    for instance in &batch.instances {
        let inputs =
            Inputs::new(&batch.plan, instance, &tools.model.identity(), tools.sandbox.name());
        let view = batch.run.view(&instance.id)?;
        match view.outcome()? {
            Some(outcome) if pipeline::is_finished(&view, &inputs) => {
                summary.outcomes.insert(instance.id.clone(), outcome);
            }
            _ => waiting.push(instance.clone()),
        }
    }
    tools.events.emit(EventKind::RunStarted {
        instances: batch.instances.len(),
        finished: summary.outcomes.len(),
        solved: summary.solved(),
    });

    let admission = Queue::new(batch.jobs.get());
    let mut tasks = JoinSet::new();
    for (age, instance) in (0..).zip(waiting) {
        let tools = Tools { events: tools.events.of(&instance.id), age, ..tools.clone() };
        let (plan, source, run) =
            (Arc::clone(&batch.plan), batch.source.clone(), batch.run.clone());
        let (admission, name) = (admission.clone(), batch.name.clone());
        tasks.spawn(async move {
            let ended = one(&tools, &plan, &source, &run, &admission, &instance, &name).await;
            (instance.id, ended)
        });
    }
    let mut through = BTreeSet::new();
    while let Some(ended) = tasks.join_next().await {
        // A panic is a bug of ours; the other instances go on, and the missing outcome shows.
        if let Ok((id, ended)) = ended {
            through.insert(id.clone());
            if let Ended::Outcome(outcome) = ended {
                summary.outcomes.insert(id, outcome);
            }
        }
    }
    for instance in batch.instances.iter().filter(|instance| !through.contains(&instance.id)) {
        summary.outcomes.entry(instance.id.clone()).or_insert_with(|| InstanceOutcome::Failed {
            stage: Stage::Localize,
            cause: Cause::Infra,
            message: "internal error: the task ended by panic".into(),
            hint: String::new(),
        });
    }
    // A part of the stages changes no prediction: what was chosen before may be stale.
    if batch.plan.stages.last == Stage::Rerank {
        let own = predictions(batch)?;
        batch.run.change_predictions(|rows| in_order(batch, own, rows))?;
    }
    tools.events.emit(EventKind::RunFinished {
        solved: summary.solved(),
        no_candidate: summary.no_candidate(),
        failed: summary.failed(),
        cancelled: summary.cancelled(),
    });
    Ok(summary)
}

async fn one(
    tools: &Tools,
    plan: &Plan,
    source: &Source,
    run: &RunDir,
    admission: &Queue,
    instance: &Instance,
    name: &str,
) -> Ended {
    let _pass = tokio::select! {
        biased;
        () = tools.cancel.cancelled() => return Ended::Outcome(InstanceOutcome::Cancelled),
        why = tools.budget.until_ended() => return Ended::Outcome(not_begun(&why)),
        pass = admission.enter(Place::of_age(tools.age)) => pass,
    };
    let work = async {
        let dir = run.instance(instance)?;
        let ended = pipeline::solve(tools, plan, source, instance, &dir).await;
        if matches!(ended, Ended::Outcome(_))
            && let Some(prediction) = pipeline::prediction(&dir, instance, name)?
        {
            run.append_prediction(&prediction)?;
        }
        Ok::<_, StoreError>(ended)
    };
    work.await.unwrap_or_else(|error| {
        let outcome = InstanceOutcome::Failed {
            stage: Stage::Localize,
            cause: Cause::Infra,
            message: error.to_string(),
            hint: String::new(),
        };
        tools.events.emit(EventKind::InstanceFinished { outcome: outcome.clone(), seconds: 0.0 });
        Ended::Outcome(outcome)
    })
}

/// Recorded nowhere: an instance without a directory is one that is still to do.
fn not_begun(why: &Exhausted) -> InstanceOutcome {
    InstanceOutcome::Failed {
        stage: Stage::Localize,
        cause: Cause::Budget,
        message: why.to_string(),
        hint: why.hint().to_owned(),
    }
}

/// Predictions of this selection, as far as there are any.
fn predictions(batch: &Batch) -> Result<Vec<Prediction>, StoreError> {
    let mut rows = Vec::new();
    for instance in &batch.instances {
        let view = batch.run.view(&instance.id)?;
        rows.extend(pipeline::prediction(&view, instance, &batch.name)?);
    }
    Ok(rows)
}

/// Predictions of the run: those of this selection and, of the rows that stand there, those of
/// other instances. The last row of an instance counts.
fn in_order(batch: &Batch, own: Vec<Prediction>, rows: Vec<Prediction>) -> Vec<Prediction> {
    let selected: BTreeSet<&InstanceId> = batch.instances.iter().map(|one| &one.id).collect();
    let others = rows.into_iter().filter(|row| !selected.contains(&row.instance_id));
    let mut all: BTreeMap<InstanceId, Prediction> =
        others.chain(own).map(|row| (row.instance_id.clone(), row)).collect();
    let mut ordered: Vec<Prediction> = batch.order.iter().filter_map(|id| all.remove(id)).collect();
    ordered.extend(all.into_values());
    ordered
}
