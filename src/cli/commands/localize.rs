//! `agent localize`: one stage over a run directory, or retrieval alone over a dataset.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, Stage};
use crate::cli::args::{LocalizeArgs, OutputArgs, StageArgs};
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::session::{self, Replies, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{print, select};
use crate::event::Events;
use crate::pipeline::{self, Plan, Source, Stages};
use crate::stage::localize::Localizer;
use crate::store::RunDir;

pub(crate) async fn localize(args: LocalizeArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    if args.no_model {
        return without_model(args, output).await;
    }
    let stage_args = StageArgs {
        run: args.target.into(),
        select: args.select,
        replay: args.replay,
        settings: args.settings,
    };
    stage::stage(stage_args, Stage::Localize, output).await
}

/// Paths of each ranked list.
const LISTED: usize = 100;

async fn without_model(args: LocalizeArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let mut settings = Settings::resolve(&args.settings, None)?;
    settings.config.localize.localizer = Localizer::Retrieval;
    let dataset = select::open_dataset(&args.target, &settings.config)?;
    let instances = select::select(&dataset, &args.select)?;
    let source = Source::Among {
        dir: select::repos_dir(&settings.config, &args.target)?,
        url: settings.config.repos.url.clone(),
    };
    let plan = session::plan(&settings.config, Stages::only(Stage::Localize))?;
    let reporting = Reporting::start(output, Show { stages: false, json_events: false }, None)?;
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(std::fs::File::create(path).map_err(|error| {
            CliError::usage(format!("cannot write {}: {error}", path.display()))
        })?),
        None => Box::new(std::io::stdout()),
    };
    let mut failed = 0;
    for instance in &instances {
        match rank(&settings, &plan, &source, instance, &reporting.events).await {
            Ok(ranked) => {
                let line = json!({"instance_id": instance.id, "ranked": ranked});
                writeln!(out, "{line}")
                    .map_err(|error| CliError::from_error(Kind::Environment, error))?;
            }
            Err(error) => {
                failed += 1;
                reporting.events.of(&instance.id).notice(error);
            }
        }
    }
    for message in reporting.finish().await {
        crate::cli::say(&message);
    }
    print("")?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { Kind::Incomplete.code() })
}

async fn rank(
    settings: &Settings,
    plan: &Plan,
    source: &Source,
    instance: &Instance,
    events: &Events,
) -> Result<Vec<String>, String> {
    let cancel = CancellationToken::new();
    let nowhere = RunDir::create(&std::env::temp_dir()).map_err(|error| error.to_string())?;
    let model = session::model(Replies::Nobody, settings, &nowhere, events, &cancel)
        .await
        .map_err(|error| error.render(false))?;
    let localization =
        pipeline::localize_only(plan, source, instance, Arc::clone(&model), events, &cancel).await?;
    Ok(localization.ranked.into_iter().take(LISTED).map(|file| file.path).collect())
}
