//! One instance through the five stages, in order: what is saved is taken, what runs is saved.
//!
//! Each stage has an input digest: its settings, the instance, the prompts, the model's name and
//! the digest of the stage before. A finished artifact with the same digest is never made again,
//! and a changed setting makes anew exactly the stages that depend on it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::artifact::{
    Candidate, Cause, Execution, Instance, InstanceOutcome, Localization, Prediction, Ranking,
    ReproductionTest, Stage, TestKind,
};
use crate::event::{EventKind, Events};
use crate::llm::TokenCounter;
use crate::prompt::Prompts;
use crate::repo::{self, Checkout, RepoError};
use crate::sandbox::{Environment, EnvironmentSpec, Limits, TreeSource};
use crate::stage::StageError;
use crate::stage::execute::{self, ExecuteConfig};
use crate::stage::localize::{self, LocalizeConfig};
use crate::stage::repair::{self, RepairConfig};
use crate::stage::reproduce::{self, ReproduceConfig};
use crate::stage::rerank::{self, RerankConfig};
use crate::store::{InstanceDir, StoreError};
use crate::tools::Tools;

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
    /// Limits of each sandbox session.
    pub limits: Limits,
    /// Seed of the run.
    pub seed: Option<u64>,
    /// What the model is asked.
    pub prompts: Arc<Prompts>,
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

/// Where an instance's repository is found.
#[derive(Debug, Clone)]
pub enum Source {
    /// This repository, whatever it is called.
    At(std::path::PathBuf),
    /// A directory of repositories, and the URL template to clone a missing one from.
    Among {
        /// Holds `owner__name` or `owner__name.git`.
        dir: std::path::PathBuf,
        /// With `{repo}` for `owner/name`; empty never clones.
        url: String,
    },
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
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The input digest of every stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    localize: String,
    repair: String,
    reproduce: String,
    execute: String,
    rerank: String,
}

impl Inputs {
    /// Digests for an instance under a plan; `model` is the client's identity,
    /// `sandbox` the name of what is used.
    #[must_use]
    pub fn new(plan: &Plan, instance: &Instance, model: &str, sandbox: &str) -> Self {
        let prompts = (plan.prompts.digests(), plan.prompts.thinks());
        let localize = digest(&("localize", instance, &plan.localize, plan.seed, model, &prompts));
        let repair = digest(&("repair", &localize, &plan.repair, plan.seed, model, &prompts));
        let limits = (plan.limits.memory_bytes, plan.limits.pids, plan.limits.output_bytes);
        let reproduce = digest(&(
            "reproduce",
            &localize,
            &plan.reproduce,
            plan.seed,
            model,
            &prompts,
            sandbox,
            limits,
        ));
        let execute = digest(&("execute", &repair, &reproduce, &plan.execute));
        let rerank = digest(&("rerank", &execute, &plan.rerank));
        Self { localize, repair, reproduce, execute, rerank }
    }

    /// One stage's digest: 64 hexadecimal digits.
    #[must_use]
    pub fn of(&self, stage: Stage) -> &str {
        match stage {
            Stage::Localize => &self.localize,
            Stage::Repair => &self.repair,
            Stage::Reproduce => &self.reproduce,
            Stage::Execute => &self.execute,
            Stage::Rerank => &self.rerank,
        }
    }
}

fn digest<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_vec(value).expect("settings and instances are plain data");
    Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether nothing is left to do for an instance.
#[must_use]
pub fn is_finished(dir: &InstanceDir, inputs: &Inputs) -> bool {
    Stage::ALL.iter().all(|&stage| dir.is_finished(stage, inputs.of(stage)))
        && matches!(dir.outcome(), Ok(Some(InstanceOutcome::Solved | InstanceOutcome::NoCandidate)))
}

/// Takes an instance through the plan's stages and records how it ended.
pub async fn solve(
    tools: &Tools,
    plan: &Plan,
    source: &Source,
    instance: &Instance,
    dir: &InstanceDir,
) -> InstanceOutcome {
    let start = Instant::now();
    tools.events.emit(EventKind::InstanceStarted);
    let mut at = Stage::Localize;
    let outcome = match go(tools, plan, source, instance, dir, &mut at).await {
        Ok(outcome) => outcome,
        Err(PipelineError::Stage(error)) if error.is_cancelled() => InstanceOutcome::Cancelled,
        Err(error) => InstanceOutcome::Failed {
            stage: at,
            cause: match &error {
                PipelineError::Stage(error) => error.cause(),
                _ => Cause::Infra,
            },
            message: chain(&error),
            hint: match &error {
                PipelineError::Stage(error) => error.hint().to_owned(),
                _ => String::new(),
            },
        },
    };
    if let Err(error) = dir.save_outcome(&outcome) {
        tools.events.notice(format!("cannot record the outcome: {}", chain(&error)));
    }
    let seconds = start.elapsed().as_secs_f64();
    tools.events.emit(EventKind::InstanceFinished { outcome: outcome.clone(), seconds });
    outcome
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

async fn go(
    tools: &Tools,
    plan: &Plan,
    source: &Source,
    instance: &Instance,
    dir: &InstanceDir,
    at: &mut Stage,
) -> Result<InstanceOutcome, PipelineError> {
    *at = plan.stages.first;
    let checkout = Arc::new(checkout_or_export(tools, source, instance).await?);
    let inputs = Inputs::new(plan, instance, &tools.model.identity(), tools.sandbox.name());
    let work = Work { tools, plan, instance, dir, inputs, checkout, environment: OnceCell::new() };
    let wanted = |stage: Stage| stage <= plan.stages.last;

    let localization = work.localize().await?;
    let mut candidates = Vec::new();
    if wanted(Stage::Repair) {
        *at = Stage::Repair.max(plan.stages.first);
        candidates = work.repair(&localization).await?;
    }
    let mut tests = Vec::new();
    if wanted(Stage::Reproduce) {
        *at = Stage::Reproduce.max(plan.stages.first);
        tests = work.reproduce(&localization).await?;
    }
    let mut executions = Vec::new();
    if wanted(Stage::Execute) {
        *at = Stage::Execute.max(plan.stages.first);
        executions = work.execute(&localization, &candidates, &tests).await?;
    }
    if !wanted(Stage::Rerank) {
        return Ok(InstanceOutcome::Cancelled);
    }
    *at = Stage::Rerank;
    let ranking = work.rerank(&candidates, &executions)?;
    Ok(match ranking.chosen {
        Some(_) => InstanceOutcome::Solved,
        None => InstanceOutcome::NoCandidate,
    })
}

/// As [`checkout`]; a repository that can be had nowhere else is taken from the instance's image.
async fn checkout_or_export(
    tools: &Tools,
    source: &Source,
    instance: &Instance,
) -> Result<Checkout, PipelineError> {
    let error = match checkout(source, instance, &tools.events, &tools.cancel).await {
        Err(PipelineError::Stage(error)) if error.is_cancelled() => return Err(error.into()),
        Err(error) => error,
        done => return done,
    };
    let (Source::Among { dir, .. }, Some(image)) = (source, &instance.image) else {
        return Err(error);
    };
    let into = dir.join("from-images").join(format!("{}.git", instance.id));
    if !into.exists() {
        tools
            .events
            .notice(format!("taking the repository from {image}, because {}", chain(&error)));
        tokio::select! {
            copied = tools.sandbox.export_repository(&instance.id, image, &into) => {
                // The first error says what a user would mend; the image was only the last resort.
                if copied.is_err() {
                    return Err(error);
                }
            }
            () = tools.cancel.cancelled() => return Err(StageError::Cancelled.into()),
        }
    }
    open(into, instance.base_commit.clone()).await
}

async fn open(path: std::path::PathBuf, commit: String) -> Result<Checkout, PipelineError> {
    tokio::task::spawn_blocking(move || Checkout::open(&path, &commit))
        .await
        .map_err(|error| PipelineError::Internal(error.to_string()))?
        .map_err(Into::into)
}

/// Finds or clones the repository and opens its base commit.
///
/// # Errors
/// [`PipelineError`] when there is no repository, or no such commit in it.
pub async fn checkout(
    source: &Source,
    instance: &Instance,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Checkout, PipelineError> {
    let path = match source {
        Source::At(path) => path.clone(),
        Source::Among { dir, url } => match repo::find(dir, &instance.repo) {
            Some(path) => path,
            None if url.is_empty() => {
                return Err(PipelineError::NotCloned {
                    repo: instance.repo.clone(),
                    dir: dir.display().to_string(),
                });
            }
            None => {
                let into = dir.join(format!("{}.git", instance.repo.replace('/', "__")));
                let url = repo::clone_url(url, &instance.repo)?;
                events.notice(format!("cloning {url}"));
                tokio::select! {
                    cloned = repo::clone(&url, &into, events) => cloned?,
                    () = cancel.cancelled() => return Err(StageError::Cancelled.into()),
                }
                into
            }
        },
    };
    open(path, instance.base_commit.clone()).await
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
    let patch = match dir.outcome()? {
        Some(InstanceOutcome::NoCandidate) => String::new(),
        Some(InstanceOutcome::Solved) => {
            let chosen = dir.ranking()?.and_then(|ranking| ranking.chosen);
            let candidates = dir.candidates()?;
            match candidates.into_iter().find(|candidate| Some(candidate.id) == chosen) {
                Some(candidate) => candidate.patch,
                None => return Ok(None),
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(Prediction {
        instance_id: instance.id.clone(),
        model_name_or_path: model.to_owned(),
        model_patch: patch,
    }))
}

struct Work<'a> {
    tools: &'a Tools,
    plan: &'a Plan,
    instance: &'a Instance,
    dir: &'a InstanceDir,
    inputs: Inputs,
    checkout: Arc<Checkout>,
    environment: OnceCell<Environment>,
}

/// A running stage: emits its end and records it.
struct Running<'a> {
    work: &'a Work<'a>,
    stage: Stage,
    start: Instant,
}

impl Running<'_> {
    fn finish(self, summary: String) -> Result<(), StoreError> {
        let seconds = self.start.elapsed().as_secs_f64();
        self.work.dir.finish(self.stage, self.work.inputs.of(self.stage), seconds, &summary)?;
        let stage = self.stage;
        self.work.tools.events.emit(EventKind::StageFinished {
            stage,
            seconds,
            summary,
            reused: false,
        });
        Ok(())
    }
}

impl<'a> Work<'a> {
    /// Takes a finished stage's artifact; nothing when the stage is to run.
    fn saved<T>(
        &self,
        stage: Stage,
        load: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<Option<T>, PipelineError> {
        if !self.dir.is_finished(stage, self.inputs.of(stage)) {
            // A stage command works on what lies there, whichever settings made it.
            let given = stage < self.plan.stages.first;
            let record = self.dir.stage(stage);
            return match record {
                Some(record) if given && record.finished => Ok(Some(load()?)),
                _ if given => Err(PipelineError::Missing(stage)),
                _ => Ok(None),
            };
        }
        let artifact = load()?;
        if stage >= self.plan.stages.first
            && let Some(record) = self.dir.stage(stage)
        {
            self.tools.events.emit(EventKind::StageFinished {
                stage,
                seconds: record.seconds,
                summary: record.summary,
                reused: true,
            });
        }
        Ok(Some(artifact))
    }

    fn begin(&'a self, stage: Stage) -> Result<Running<'a>, PipelineError> {
        if self.tools.cancel.is_cancelled() {
            return Err(StageError::Cancelled.into());
        }
        self.dir.begin(stage, self.inputs.of(stage))?;
        self.tools.events.emit(EventKind::StageStarted { stage });
        Ok(Running { work: self, stage, start: Instant::now() })
    }

    async fn localize(&self) -> Result<Localization, PipelineError> {
        let load = || self.dir.localization();
        if let Some(Some(saved)) = self.saved(Stage::Localize, load)? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Localize)?;
        let plan = self.plan;
        let localization = localize::localize(
            self.tools,
            &plan.localize,
            &plan.prompts,
            self.instance,
            &self.checkout,
        )
        .await?;
        self.dir.save_localization(&localization)?;
        running.finish(describe_localization(&localization))?;
        Ok(localization)
    }

    async fn repair(&self, at: &Localization) -> Result<Vec<Candidate>, PipelineError> {
        if let Some(saved) = self.saved(Stage::Repair, || self.dir.candidates())? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Repair)?;
        let plan = self.plan;
        let inputs = repair::Inputs { instance: self.instance, at, checkout: &self.checkout };
        let candidates = repair::repair(
            self.tools,
            &plan.repair,
            &plan.prompts,
            &plan.tokens,
            plan.seed,
            &inputs,
        )
        .await?;
        self.dir.save_candidates(&candidates)?;
        running.finish(describe_candidates(&candidates))?;
        Ok(candidates)
    }

    async fn reproduce(&self, at: &Localization) -> Result<Vec<ReproductionTest>, PipelineError> {
        if let Some(saved) = self.saved(Stage::Reproduce, || self.dir.tests())? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Reproduce)?;
        let done = self.dir.tests()?;
        let plan = self.plan;
        let environment = self.environment().await?;
        let inputs = reproduce::Inputs {
            instance: self.instance,
            at,
            checkout: &self.checkout,
            environment,
            limits: &plan.limits,
            done: &done,
        };
        let record = |test: &ReproductionTest| self.dir.append_test(test).map_err(io::Error::other);
        let tests = reproduce::reproduce(
            self.tools,
            &plan.reproduce,
            &plan.prompts,
            &plan.tokens,
            plan.seed,
            &inputs,
            &record,
        )
        .await?;
        self.dir.save_tests(&tests)?;
        running.finish(describe_tests(&tests, plan.reproduce.keep))?;
        Ok(tests)
    }

    async fn execute(
        &self,
        at: &Localization,
        candidates: &[Candidate],
        tests: &[ReproductionTest],
    ) -> Result<Vec<Execution>, PipelineError> {
        if let Some(saved) = self.saved(Stage::Execute, || self.dir.executions())? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Execute)?;
        let done = self.dir.executions()?;
        let judges = reproduce::judges(tests, self.plan.reproduce.keep);
        let environment = self.environment().await?;
        let inputs = execute::Inputs {
            instance: self.instance,
            at,
            checkout: &self.checkout,
            candidates,
            tests: &judges,
            environment,
            limits: &self.plan.limits,
            done: &done,
        };
        let record =
            |rows: &[Execution]| self.dir.append_executions(rows).map_err(io::Error::other);
        let rows = execute::execute(self.tools, &self.plan.execute, &inputs, &record).await?;
        self.dir.save_executions(&rows)?;
        running.finish(execute::summary(&rows))?;
        Ok(rows)
    }

    fn rerank(
        &self,
        candidates: &[Candidate],
        executions: &[Execution],
    ) -> Result<Ranking, PipelineError> {
        if let Some(Some(saved)) = self.saved(Stage::Rerank, || self.dir.ranking())? {
            return Ok(saved);
        }
        let running = self.begin(Stage::Rerank)?;
        let ranking = rerank::rerank(&self.plan.rerank, candidates, executions);
        self.dir.save_ranking(&ranking)?;
        running.finish(describe_ranking(&ranking, executions))?;
        Ok(ranking)
    }

    /// Prepared at first need: an instance whose stages are all saved needs no image.
    async fn environment(&self) -> Result<&Environment, PipelineError> {
        let prepare = || async {
            let spec = EnvironmentSpec {
                instance: self.instance.id.clone(),
                image: self.instance.image.clone(),
                tree: Arc::new(BaseTree(Arc::clone(&self.checkout))),
                install: self.instance.install.clone(),
            };
            tokio::select! {
                environment = self.tools.sandbox.prepare(&spec) => {
                    environment.map_err(|error| PipelineError::Stage(error.into()))
                }
                () = self.tools.cancel.cancelled() => Err(StageError::Cancelled.into()),
            }
        };
        self.environment.get_or_try_init(prepare).await
    }
}

/// The checkout as sandboxes see it.
struct BaseTree(Arc<Checkout>);

impl TreeSource for BaseTree {
    fn id(&self) -> String {
        self.0.tree_id()
    }

    fn write_to(&self, dir: &Path) -> io::Result<()> {
        self.0.write_to(dir)
    }
}

fn describe_localization(localization: &Localization) -> String {
    let paths: Vec<&str> =
        localization.ranked.iter().take(3).map(|ranked| ranked.path.as_str()).collect();
    let more = localization.ranked.len().saturating_sub(paths.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", paths.join(", "))
}

fn describe_candidates(candidates: &[Candidate]) -> String {
    let valid: Vec<&Candidate> = candidates.iter().filter(|c| c.is_ok()).collect();
    let mut classes: Vec<&str> = valid.iter().map(|c| c.class.as_str()).collect();
    classes.sort_unstable();
    classes.dedup();
    format!(
        "{} of {} samples give a patch, {} different changes",
        valid.len(),
        candidates.len(),
        classes.len()
    )
}

fn describe_tests(tests: &[ReproductionTest], keep: usize) -> String {
    let reproducing = tests.iter().filter(|test| test.counts()).count();
    let judges = reproduce::judges(tests, keep).len();
    format!(
        "{reproducing} of {} scripts reproduce the issue, {judges} different ones judge",
        tests.len()
    )
}

fn describe_ranking(ranking: &Ranking, executions: &[Execution]) -> String {
    let (Some(chosen), Some(first)) = (ranking.chosen, ranking.ranked.first()) else {
        return "no candidate".to_owned();
    };
    let votes = first.evidence.get("votes").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let of = |kind: TestKind| {
        let rows = executions.iter().filter(|row| {
            row.kind == kind
                && first.evidence.get("members").and_then(|m| m.as_array()).is_some_and(|members| {
                    members.iter().any(|m| m.as_str() == Some(&row.subject.to_string()))
                })
        });
        let (mut passed, mut all) = (0, 0);
        for row in rows {
            all += 1;
            passed += usize::from(row.outcome == crate::artifact::Outcome::Pass);
        }
        (passed, all)
    };
    let (reproduced, scripts) = of(TestKind::Reproduction);
    let (kept, regression) = of(TestKind::Regression);
    format!(
        "{chosen} by {}: {votes} votes, resolves {reproduced} of {scripts} scripts, keeps {kept} of {regression} tests",
        ranking.policy
    )
}
