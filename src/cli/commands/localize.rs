//! `agent localize`: one stage over a run directory, or retrieval alone over a dataset.

use std::io::Write;
use std::process::ExitCode;

use serde_json::json;

use crate::artifact::Stage;
use crate::cli::args::{LocalizeArgs, OutputArgs, StageArgs};
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::ranking::Ranking;
use crate::cli::session::{Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{given, select};
use crate::pipeline::Source;

pub(crate) async fn localize(
    args: LocalizeArgs,
    output: &OutputArgs,
) -> Result<ExitCode, CliError> {
    if args.no_model {
        return without_model(args, output).await;
    }
    let stage_args = StageArgs {
        budget: args.budget,
        run: args.target.into(),
        select: args.select,
        replay: args.replay,
        settings: args.settings,
    };
    stage::stage(stage_args, Stage::Localize, output).await
}

async fn without_model(args: LocalizeArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::within(&args.settings, &args.budget, None)?;
    if given::is_wanted(&settings) {
        return Err(CliError::usage(
            "--no-model ranks by retrieval, so a ranking cannot be handed in",
        )
        .hint("leave out --no-model, or --localizer oracle and --localization"));
    }
    let dataset = select::open_dataset(&args.target, &settings.config, output)?;
    select::tell(&args.select, output);
    let instances = select::select(&dataset, &args.select)?;
    let source = Source::Among {
        dir: select::repos_dir(&settings.config, &args.target)?,
        url: settings.config.repos.url.clone(),
    };
    let reporting = Reporting::start(output, Show { stages: false, json_events: false }, None)?;
    let mut out: Box<dyn Write> = match &args.output {
        Some(path) => Box::new(std::fs::File::create(path).map_err(|error| {
            CliError::usage(format!("cannot write {}: {error}", path.display()))
        })?),
        None => Box::new(std::io::stdout()),
    };
    let ranking = Ranking::new(&settings, source, reporting.events.clone())?;
    let mut failed = 0;
    for (id, ranked) in ranking.all(instances).await? {
        let Some(ranked) = ranked else {
            failed += 1;
            continue;
        };
        let line = json!({"instance_id": id, "ranked": ranked});
        writeln!(out, "{line}").map_err(|error| CliError::from_error(Kind::Environment, error))?;
    }
    for message in reporting.finish().await {
        crate::cli::say(&message);
    }
    out.flush().map_err(|error| CliError::from_error(Kind::Environment, error))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { Kind::Incomplete.code() })
}
