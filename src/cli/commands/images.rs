//! `agent images build`: the dataset `packages`, or one tree.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{BuildArgs, OutputArgs};
use crate::cli::commands::packages::packages;
use crate::cli::error::{CliError, Kind};
use crate::cli::session::{self, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, reaper, say};
use crate::images::{self, BuildRequest, Source};
use crate::sandbox::Choice;
use crate::sandbox::docker::Engine;

const QUIET_ABOUT_STAGES: Show = Show { stages: false, json_events: false };

pub(crate) async fn build(args: BuildArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let engines = session::engines(&settings.config).await?;
    reaper::start(Choice::Docker, &settings.config.sandbox);
    let reporting = Reporting::start(output, QUIET_ABOUT_STAGES, None)?;
    let cancel = CancellationToken::new();
    session::watch_signals(cancel.clone(), true);
    let mut worst = ExitCode::SUCCESS;
    let work = async {
        for engine in &engines {
            if engines.len() > 1 {
                reporting.events.notice(format!("building on {}", engine.host()));
            }
            let built = if args.source == "packages" {
                packages(&args, output, engine, &reporting, &cancel).await?
            } else {
                tree(&args, output, engine, &reporting, &cancel).await?
            };
            if built != ExitCode::SUCCESS {
                worst = built;
            }
        }
        Ok(worst)
    };
    let result = work.await;
    reporting.finish().await;
    result
}

async fn tree(
    args: &BuildArgs,
    output: &OutputArgs,
    engine: &Engine,
    reporting: &Reporting,
    cancel: &CancellationToken,
) -> Result<ExitCode, CliError> {
    let path = Path::new(&args.source);
    let Some(tag) = args.tag.clone() else {
        return Err(
            CliError::usage("an image made from a tree needs a name").hint("give it with --tag")
        );
    };
    let name = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = name.file_name().map_or("tree".into(), |name| name.to_string_lossy());
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
    let request = BuildRequest {
        instance: safe.parse().map_err(|error| CliError::from_error(Kind::Usage, error))?,
        image: tag,
        source: Source::detect(path, args.rev.as_deref()),
        base: args.base.clone(),
        variables: args.variables.clone(),
        python: None,
        requirements: args.requirements.clone(),
        install: (!args.install.trim().is_empty()).then(|| args.install.clone()),
        force: args.force,
    };
    let built = images::build(&request, engine, &reporting.events, cancel).await?;
    if output.json {
        print_json(&json!({
            "image": built.image, "id": built.id, "bytes": built.size,
            "base_commit": built.base_commit, "reused": built.reused, "seconds": built.seconds,
        }))?;
    } else {
        print(&format!("{}\n", built.image))?;
        say(&format!("base commit {}", built.base_commit));
    }
    Ok(ExitCode::SUCCESS)
}
