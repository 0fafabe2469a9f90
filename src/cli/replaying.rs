//! The instances of a replay, one after the other, and what is left open.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::artifact::InstanceId;
use crate::budget::Budget;
use crate::cli::error::{CliError, Kind};
use crate::cli::job::{self, Job};
use crate::cli::session;
use crate::cli::settings::Settings;
use crate::event::Events;
use crate::index::IndexCache;
use crate::llm::{ModelClient, copy_journal};
use crate::pipeline::{self, Plan, Replayed};
use crate::sandbox::{
    Environment, EnvironmentSpec, Limits, Sandbox, SandboxError, Session as SandboxSession,
};
use crate::store::{RunDir, RunRecord};
use crate::tools::{Sessions, Tools};

/// From where to where.
pub(crate) struct Runs<'a> {
    pub(crate) from: &'a RunDir,
    pub(crate) to: &'a RunDir,
    pub(crate) record: RunRecord,
    /// Whether journals are copied, so that the new run can go on as the old one could.
    pub(crate) copies: bool,
}

/// Replays every instance of the job and writes the run's own files.
pub(crate) async fn all(
    runs: Runs<'_>,
    job: &Job,
    settings: &Settings,
    plan: Plan,
    model: Arc<dyn ModelClient>,
    events: Events,
    cancel: CancellationToken,
) -> Result<Vec<(InstanceId, Replayed)>, CliError> {
    let named = runs.from.predictions()?.first().map(|row| row.model_name_or_path.clone());
    let name = match settings.config.run.name.as_str() {
        "" => named.unwrap_or_else(|| format!("agent+{}", model.model())),
        name => name.to_owned(),
    };
    let tools = Tools {
        sandbox: Arc::new(Recorded::of(&runs.record.sandbox)),
        index: Arc::new(IndexCache::in_memory()),
        embeddings: None,
        sessions: Arc::new(Sessions::new(session::or_cores(1))),
        model,
        events,
        cancel,
        budget: Arc::new(Budget::unlimited()),
        age: 0,
    };
    let from = runs.from.path();
    runs.to.save_record(&RunRecord {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: job::revision(),
        seed: Some(settings.config.run.seed),
        model: tools.model.model().to_owned(),
        prompts: plan.prompts.digests().clone(),
        instances: job.instances.iter().map(|instance| instance.id.clone()).collect(),
        settings: settings.record(),
        origin: Some(json!({"replayed": from})),
        ..runs.record
    })?;
    let (mut replayed, mut predictions) = (Vec::new(), Vec::new());
    for instance in &job.instances {
        let dir = runs.to.instance(instance)?;
        if runs.copies {
            copy_journal(&from.join(instance.id.as_str()), dir.path())
                .map_err(|error| CliError::from_error(Kind::Environment, error))?;
        }
        let tools = Tools { events: tools.events.of(&instance.id), ..tools.clone() };
        let view = runs.from.view(&instance.id)?;
        let made = pipeline::replay(&tools, &plan, &job.source, instance, &view, &dir).await;
        predictions.extend(pipeline::prediction(&dir, instance, &name)?);
        replayed.push((instance.id.clone(), made));
    }
    runs.to.save_predictions(&predictions)?;
    Ok(replayed)
}

/// Instances of which something has not been executed in the recorded run.
pub(crate) fn incomplete(replayed: &[(InstanceId, Replayed)]) -> Vec<&(InstanceId, Replayed)> {
    let open =
        |r: &Replayed| !(r.untested.is_empty() && r.untried.is_empty() && r.regression.is_empty());
    replayed.iter().filter(|(_, replayed)| open(replayed)).collect()
}

/// What is left open, and the commands that close it.
pub(crate) fn describe(incomplete: &[&(InstanceId, Replayed)], out: &Path) -> String {
    if incomplete.is_empty() {
        return "\nevery candidate's tests are known from the recorded run\n".to_owned();
    }
    let list = |ids: Vec<String>| ids.join(", ");
    let mut text = format!("\nnot executed in the recorded run: {} instances\n", incomplete.len());
    for (id, replayed) in incomplete {
        let _ = writeln!(text, "  {id}");
        if !replayed.untested.is_empty() {
            let ids: Vec<String> = replayed.untested.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "      {} candidates: {}", ids.len(), list(ids));
        }
        if !replayed.untried.is_empty() {
            let ids: Vec<String> = replayed.untried.iter().map(ToString::to_string).collect();
            let _ = writeln!(text, "      {} scripts: {}", ids.len(), list(ids));
        }
        if !replayed.regression.is_empty() {
            let _ = writeln!(text, "      regression tests: {}", replayed.regression);
        }
    }
    let scripts = incomplete.iter().any(|(_, replayed)| !replayed.untried.is_empty());
    let shown = out.display();
    let first = if scripts { format!("`agent reproduce {shown}`, ") } else { String::new() };
    let _ = writeln!(
        text,
        "the choice there is preliminary; {first}`agent execute {shown}` and `agent rerank \
         {shown}` complete it"
    );
    text
}

/// Stands for the sandbox of the recorded run: it has its name, so that the stages' inputs are the
/// same, and runs nothing.
struct Recorded(&'static str);

impl Recorded {
    fn of(sandbox: &str) -> Self {
        Self(if sandbox.starts_with("local") { "local" } else { "docker" })
    }

    fn refusal(&self, instance: &InstanceId) -> SandboxError {
        let detail = "a replay runs no code".to_owned();
        SandboxError::Setup { instance: instance.clone(), detail }
    }
}

#[async_trait]
impl Sandbox for Recorded {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        Err(self.refusal(&spec.instance))
    }

    async fn start(
        &self,
        environment: &Environment,
        _limits: &Limits,
    ) -> Result<Box<dyn SandboxSession>, SandboxError> {
        Err(self.refusal(&environment.instance))
    }

    async fn sweep(&self) {}
}
