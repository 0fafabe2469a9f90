//! A batch from the command line: directory, record, tools, signals, and the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::artifact::{Cause, Instance, InstanceId, InstanceOutcome};
use crate::batch::{self, Batch, Summary};
use crate::cli::args::OutputArgs;
use crate::cli::error::{CliError, Kind};
use crate::cli::session::{self, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::shard::Shard;
use crate::cli::{given, given_tests, limits, select};
use crate::dataset::Dataset;
use crate::llm::ModelClient;
use crate::pipeline::{Plan, Source, Stages};
use crate::store::{RunDir, RunRecord};
use crate::tools::Tools;

/// What to run.
pub(crate) struct Job {
    /// Name or path of the dataset; the repository's path for an issue of one's own.
    pub(crate) dataset: String,
    /// SHA-256 of its bytes.
    pub(crate) digest: String,
    /// For a dataset of the hub, the name that opens just these rows again.
    pub(crate) pinned: Option<String>,
    pub(crate) instances: Vec<Instance>,
    /// The dataset's order.
    pub(crate) order: Vec<InstanceId>,
    /// The part of the dataset that was asked for.
    pub(crate) shard: Option<Shard>,
    pub(crate) source: Source,
    pub(crate) run: PathBuf,
    pub(crate) stages: Stages,
    pub(crate) show: Show,
    #[expect(clippy::option_option, reason = "absent, without a value, with a value")]
    pub(crate) replay: Option<Option<PathBuf>>,
    /// Whether `run.json` is written; stage commands leave it as it is.
    pub(crate) record: bool,
}

impl Job {
    /// Notes which rows the instances were taken from.
    pub(crate) fn with_rows_of(self, dataset: &Dataset) -> Self {
        Self {
            digest: dataset.digest().to_owned(),
            pinned: dataset.pinned().map(ToString::to_string),
            order: dataset.instances().into_iter().map(|instance| instance.id).collect(),
            ..self
        }
    }
}

/// What came out.
pub(crate) struct Finished {
    pub(crate) summary: Summary,
    pub(crate) run: RunDir,
}

/// Version of `run.json`.
const SCHEMA: u32 = 1;

/// Runs the job to its end.
pub(crate) async fn run(
    job: Job,
    settings: &Settings,
    output: &OutputArgs,
) -> Result<Finished, CliError> {
    let config = &settings.config;
    let plan = Plan {
        given: Arc::new(given::read(settings, &job)?),
        given_tests: Arc::new(given_tests::read(settings, &job)?),
        ..session::plan(config, job.stages)?
    };
    select::hide_runs(&job.run)?;
    let run = RunDir::create(&job.run)?;
    let budget = limits::budget(config, &run)?;
    let replies =
        session::replies(job.replay.as_ref(), settings, &run, &job.dataset, &job.instances)?;
    let _at_work = run.work()?;
    let reporting =
        Reporting::priced(output, job.show, Some(&run.events_path()), session::prices(config))?;
    let cancel = CancellationToken::new();
    // Where a table is drawn, a line beside its reporter's would break it.
    session::watch_signals(cancel.clone(), output.quiet);

    let events = reporting.events.clone();
    if let Some(shard) = job.shard.as_ref().filter(|shard| shard.is_found()) {
        events.notice(format!("shard {shard}, from {}", shard.origin()));
    }
    let work = async {
        let model = session::model(replies, settings, &run, &events, &cancel, &budget).await?;
        let (sandbox, taken) = session::sandbox(config, &events).await?;
        events.notice(format!("code runs in the sandbox {taken}"));
        let name = if config.run.name.is_empty() {
            format!("agent+{}", model.model())
        } else {
            config.run.name.clone()
        };
        if job.record {
            let record = record(&job, settings, &*model, taken, &plan).await;
            run.join_record(record, &job.order)?;
        }
        let (own, events, stop) = (Arc::clone(&sandbox), events.clone(), cancel.clone());
        let tools = Tools {
            embeddings: session::embeddings(settings, &cancel),
            ..session::tools(config, model, own, events, stop, Arc::clone(&budget))?
        };
        let batch = Batch {
            instances: job.instances.clone(),
            order: job.order.clone(),
            plan: Arc::new(plan),
            source: job.source.clone(),
            run: run.clone(),
            jobs: limits::instances(config, &*sandbox),
            name,
        };
        let summary = batch::run(&tools, &batch).await;
        sandbox.sweep().await;
        let summary = summary?;
        run.lock_images()?;
        Ok::<_, CliError>(summary)
    };
    let stopping = async {
        cancel.cancelled().await;
        events.notice(session::STOPPING);
        std::future::pending().await
    };
    let result = tokio::select! {
        result = work => result,
        never = stopping => never,
    };
    drop(events);
    for message in reporting.finish().await {
        crate::cli::say(&message);
    }
    let summary = result?;
    if let Some(ending) = limits::ending(&budget, config.model.max_tokens_total, &summary) {
        crate::cli::say(&ending);
    }
    Ok(Finished { summary, run })
}

/// What decides the results, for `run.json`.
async fn record(
    job: &Job,
    settings: &Settings,
    model: &dyn ModelClient,
    sandbox: String,
    plan: &Plan,
) -> RunRecord {
    RunRecord {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        revision: revision(),
        seed: Some(settings.config.run.seed),
        images: BTreeMap::new(),
        dataset: job.dataset.clone(),
        dataset_digest: job.digest.clone(),
        pinned_dataset: job.pinned.clone(),
        model: model.model().to_owned(),
        sandbox,
        prompts: plan.prompts.digests().clone(),
        instances: job.instances.iter().map(|instance| instance.id.clone()).collect(),
        settings: settings.record(),
        server: model.server().await,
        shards: job.shard.iter().map(|s| (s.to_string(), s.origin().to_owned())).collect(),
        origin: None,
    }
}

/// The git revision of a release build.
pub(crate) fn revision() -> Option<String> {
    option_env!("AGENT_REVISION").map(str::to_owned)
}

/// An instance that failed is the command's own failure.
pub(crate) fn failure(outcome: Option<&InstanceOutcome>) -> Option<CliError> {
    match outcome {
        Some(InstanceOutcome::Failed { stage, cause, message, hint }) => {
            let kind = match cause {
                Cause::Infra => Kind::Environment,
                _ => Kind::Incomplete,
            };
            let message = format!("{stage}: {message}");
            Some(CliError::new(kind, message).hint_unless_empty(hint))
        }
        _ => None,
    }
}

/// The exit code of a batch.
pub(crate) fn exit_kind(summary: &Summary) -> Option<Kind> {
    let all_infra = !summary.outcomes.is_empty()
        && summary
            .outcomes
            .values()
            .all(|outcome| matches!(outcome, InstanceOutcome::Failed { cause: Cause::Infra, .. }));
    if summary.cancelled() > 0 {
        Some(Kind::Interrupted)
    } else if all_infra {
        Some(Kind::Environment)
    } else if summary.failed() + summary.no_candidate() > 0 {
        Some(Kind::Incomplete)
    } else {
        None
    }
}
