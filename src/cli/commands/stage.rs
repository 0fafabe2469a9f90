//! `agent repair|reproduce|execute RUN` (and `localize RUN`): one stage over a run directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::artifact::{Instance, Stage};
use crate::cli::args::{OutputArgs, SelectArgs, StageArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::job::{self, Job};
use crate::cli::session::Show;
use crate::cli::settings::Settings;
use crate::cli::{print, select};
use crate::pipeline::{Source, Stages};
use crate::store::{RunDir, RunRecord};

pub(crate) async fn stage(
    args: StageArgs,
    stage: Stage,
    output: &OutputArgs,
) -> Result<ExitCode, CliError> {
    let (_, record) = open(&args.run)?;
    let base = (&record.settings, args.run.join("run.json"));
    let settings = Settings::within(&args.settings, &args.budget, Some(base))?;
    if args.settings.show_config {
        print(&settings.show())?;
        return Ok(ExitCode::SUCCESS);
    }
    let instances = instances(&args.run, &record, &args.select)?;
    let job = Job {
        source: source(&record, &settings)?,
        order: record.instances.clone(),
        shard: args.select.shard,
        dataset: record.dataset,
        digest: record.dataset_digest,
        pinned: record.pinned_dataset,
        instances,
        run: args.run,
        stages: Stages::only(stage),
        show: Show { stages: false, json_events: output.json },
        replay: args.replay,
        record: false,
    };
    let finished = job::run(job, &settings, output).await?;
    Ok(job::exit_kind(&finished.summary).map_or(ExitCode::SUCCESS, Kind::code))
}

/// Opens a run directory that exists.
pub(crate) fn open(path: &Path) -> Result<(RunDir, RunRecord), CliError> {
    if !path.join("run.json").exists() {
        return Err(CliError::usage(format!("{} is not a run directory", path.display()))
            .hint("a run directory holds run.json; `agent run D -o DIR` makes one"));
    }
    let run = RunDir::create(path)?;
    match run.record()? {
        Some(record) => Ok((run, record)),
        None => Err(CliError::usage(format!("{} holds no run.json", path.display()))),
    }
}

/// The run's instances as they were when it was made: a stage command needs no dataset.
pub(crate) fn instances(
    path: &Path,
    record: &RunRecord,
    select: &SelectArgs,
) -> Result<Vec<Instance>, CliError> {
    let run = RunDir::create(path)?;
    let mut instances = Vec::new();
    for id in &record.instances {
        instances.extend(run.view(id)?.instance()?);
    }
    if let Some(unknown) = select
        .instances
        .iter()
        .find(|wanted| !record.instances.iter().any(|id| id.as_str() == *wanted))
    {
        return Err(CliError::usage(format!("{} has no instance {unknown}", path.display())));
    }
    let chosen = select::filter(instances, select)?;
    if chosen.is_empty() {
        return Err(CliError::new(Kind::Nothing, "no instance is selected"));
    }
    Ok(chosen)
}

/// Where the run's repositories are: an own repository's path was recorded as the dataset.
pub(crate) fn source(record: &RunRecord, settings: &Settings) -> Result<Source, CliError> {
    if record.dataset_digest.is_empty() && record.dataset != "sample" {
        return Ok(Source::At(PathBuf::from(&record.dataset)));
    }
    Ok(Source::Among {
        dir: select::repos_dir(&settings.config, &record.dataset)?,
        url: settings.config.repos.url.clone(),
    })
}
