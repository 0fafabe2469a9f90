//! One instance through the five stages, in order: what is saved is taken, what runs is saved.
//!
//! Each stage has an input digest: its settings, the instance, the prompts, the model's name and
//! the digest of the stage before. A finished artifact with the same digest is never made again,
//! and a changed setting makes anew exactly the stages that depend on it.

mod describe;
mod inputs;
mod replay;
mod rounds;
mod source;
mod tree;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::artifact::{
    Cause, Instance, InstanceId, InstanceOutcome, Localization, Prediction, Stage,
};
use crate::event::{EventKind, with_causes};
use crate::llm::TokenCounter;
use crate::prompt::Prompts;
use crate::repo::RepoError;
use crate::sandbox::Limits;
use crate::stage::StageError;
use crate::stage::execute::{ExecuteConfig, GivenTests};
use crate::stage::localize::LocalizeConfig;
use crate::stage::repair::RepairConfig;
use crate::stage::reproduce::ReproduceConfig;
use crate::stage::rerank::{AdaptiveConfig, RerankConfig};
use crate::store::{InstanceDir, StoreError};
use crate::tools::Tools;

pub use inputs::Inputs;
pub use replay::{Replayed, replay};
pub use source::{Source, checkout};
pub use tree::BaseTree;

use source::checkout_or_export;
use work::Work;

/// Everything that decides what the stages do, the same for all instances of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Settings of the stage of that name.
    pub localize: LocalizeConfig,
    /// Settings of the stage of that name.
    pub repair: RepairConfig,
    /// Settings of the stage of that name.
    pub reproduce: ReproduceConfig,
    /// Settings of the stage of that name.
    pub execute: ExecuteConfig,
    /// Settings of the stage of that name.
    pub rerank: RerankConfig,
    /// When sampling ends before its end.
    pub adaptive: AdaptiveConfig,
    /// Limits of each sandbox session.
    pub limits: Limits,
    /// Seed of the run.
    pub seed: Option<u64>,
    /// What the model is asked.
    pub prompts: Arc<Prompts>,
    /// Rankings handed in, which take the place of the stage `localize` for their instances.
    pub given: Arc<BTreeMap<InstanceId, Localization>>,
    /// Regression tests handed in, which the stage `execute` runs for their instances.
    pub given_tests: Arc<BTreeMap<InstanceId, GivenTests>>,
    /// How context budgets are counted.
    pub tokens: Arc<TokenCounter>,
    /// The stages to go through; those before must be finished, those after are left alone.
    pub stages: Stages,
}

/// A range of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages {
    /// The first to run if it is not finished.
    pub first: Stage,
    /// The last.
    pub last: Stage,
}

impl Stages {
    /// All five.
    pub const ALL: Self = Self { first: Stage::Localize, last: Stage::Rerank };

    /// Just one.
    #[must_use]
    pub fn only(stage: Stage) -> Self {
        Self { first: stage, last: stage }
    }
}

/// Why an instance could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A stage failed.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The repository cannot be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// An artifact cannot be saved or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no repository, and none may be cloned.
    #[error(
        "the repository {repo} is not in {dir} and cloning is switched off (repos.url is empty)"
    )]
    NotCloned {
        /// `owner/name`.
        repo: String,
        /// Where it was looked for.
        dir: String,
    },
    /// A stage command lacks the stage before it.
    #[error("{0} is not finished for this instance; run `agent {0} RUN` first")]
    Missing(Stage),
    /// A stage command for samples whose number the later stages decide.
    #[error(
        "with adaptive.confidence = {0} samples are drawn and tested in turn, which no command for \
         one stage can do; continue with `agent run`, or give --confidence 1 to draw all"
    )]
    Adaptive(f64),
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Whether nothing is left to do for an instance.
#[must_use]
pub fn is_finished(dir: &InstanceDir, inputs: &Inputs) -> bool {
    Stage::ALL.iter().all(|&stage| dir.is_finished(stage, inputs.of(stage)))
        && matches!(dir.outcome(), Ok(Some(InstanceOutcome::Solved | InstanceOutcome::NoCandidate)))
}

/// How the work on an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All stages are through, or one failed.
    Outcome(InstanceOutcome),
    /// The plan's last stage, which is not the last of all, is through.
    Through(Stage),
}

/// Takes an instance through the plan's stages and records how it ended.
pub async fn solve(
    tools: &Tools,
    plan: &Plan,
    source: &Source,
    instance: &Instance,
    dir: &InstanceDir,
) -> Ended {
    let start = Instant::now();
    tools.events.emit(EventKind::InstanceStarted);
    let mut at = plan.stages.first;
    let outcome = match go(tools, plan, source, instance, dir, &mut at).await {
        Ok(Ended::Through(stage)) => {
            let seconds = start.elapsed().as_secs_f64();
            tools.events.emit(EventKind::InstanceThrough { stage, seconds });
            return Ended::Through(stage);
        }
        Ok(Ended::Outcome(outcome)) => outcome,
        Err(PipelineError::Stage(error)) if error.is_cancelled() => InstanceOutcome::Cancelled,
        Err(error) => failed(at, &error),
    };
    if let Err(error) = dir.save_outcome(&outcome) {
        tools.events.notice(format!("cannot record the outcome: {}", with_causes(&error)));
    }
    let seconds = start.elapsed().as_secs_f64();
    tools.events.emit(EventKind::InstanceFinished { outcome: outcome.clone(), seconds });
    Ended::Outcome(outcome)
}

fn failed(stage: Stage, error: &PipelineError) -> InstanceOutcome {
    let (cause, hint) = match error {
        PipelineError::Stage(error) => (error.cause(), error.hint()),
        _ => (Cause::Infra, ""),
    };
    InstanceOutcome::Failed { stage, cause, message: with_causes(error), hint: hint.to_owned() }
}

async fn go(
    tools: &Tools,
    plan: &Plan,
    source: &Source,
    instance: &Instance,
    dir: &InstanceDir,
    at: &mut Stage,
) -> Result<Ended, PipelineError> {
    let checkout = Arc::new(checkout_or_export(tools, source, instance).await?);
    let inputs = Inputs::new(plan, instance, &tools.model.identity(), tools.sandbox.name());
    let work = Work::new(tools, plan, instance, dir, inputs, checkout);
    let wanted = |stage: Stage| stage <= plan.stages.last;

    let localization = work.localize().await?;
    work.keep_to_one_image(at).await?;
    let (mut candidates, mut tests) = (Vec::new(), Vec::new());
    let mut executing = Duration::ZERO;
    if plan.adaptive.is_on() {
        // What decides when to stop must be there before the first sample.
        if wanted(Stage::Reproduce) {
            *at = Stage::Reproduce.max(plan.stages.first);
            tests = work.tried(&localization).await?.finish()?;
        }
        if wanted(Stage::Execute) || plan.stages == Stages::only(Stage::Repair) {
            (candidates, executing) = work.rounds(&localization, &tests, at).await?;
        }
    } else {
        // Both need the localization alone. One that fails lets the other end: its answers are paid.
        let repair = async {
            if wanted(Stage::Repair) { work.repair(&localization).await } else { Ok(Vec::new()) }
        };
        let reproduce = async {
            match wanted(Stage::Reproduce) {
                true => work.tried(&localization).await.map(Some),
                false => Ok(None),
            }
        };
        let (repaired, tried) = tokio::join!(repair, reproduce);
        *at = Stage::Repair.max(plan.stages.first);
        candidates = repaired?;
        *at = Stage::Reproduce.max(plan.stages.first);
        if let Some(tried) = tried? {
            tests = tried.finish()?;
        }
    }
    let mut executions = Vec::new();
    if wanted(Stage::Execute) {
        *at = Stage::Execute.max(plan.stages.first);
        executions = work.execute(&localization, &candidates, &tests, executing).await?;
    }
    if !wanted(Stage::Rerank) {
        return Ok(Ended::Through(plan.stages.last));
    }
    *at = Stage::Rerank;
    let ranking = work.rerank(&candidates, &executions)?;
    Ok(Ended::Outcome(match ranking.chosen {
        Some(_) => InstanceOutcome::Solved,
        None => InstanceOutcome::NoCandidate,
    }))
}

/// The prediction that a finished instance gives; none while it is unfinished or has failed.
///
/// # Errors
/// [`StoreError`] when the artifacts cannot be read.
pub fn prediction(
    dir: &InstanceDir,
    instance: &Instance,
    model: &str,
) -> Result<Option<Prediction>, StoreError> {
    Ok(dir.patch()?.map(|model_patch| Prediction {
        instance_id: instance.id.clone(),
        model_name_or_path: model.to_owned(),
        model_patch,
    }))
}
