//! `agent images check|pull|prune`: which images are here, and which are ours.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, LeakReport};
use crate::cli::args::{ImagesArgs, OutputArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::session::{self, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, say, select};
use crate::event::Events;
use crate::images;
use crate::sandbox::docker::{DockerSandbox, Engine};

fn instances(args: &ImagesArgs) -> Result<Vec<Instance>, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let dataset = select::open_dataset(&args.dataset, &settings.config)?;
    select::select(&dataset, &args.select)
}

pub(crate) async fn check(args: ImagesArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let instances = instances(&args)?;
    let engine = Engine::connect().await?;
    let events = Events::discard();
    let sandbox = DockerSandbox::new(engine, settings.config.sandbox.clone(), events).await?;
    let statuses = images::guard(&instances, &sandbox).await?;
    let missing = statuses.iter().filter(|s| s.image.is_some() && s.size.is_none()).count();
    if output.json {
        let rows: Vec<_> = statuses
            .iter()
            .map(|s| {
                json!({
                    "instance_id": s.instance, "image": s.image, "bytes": s.size, "ours": s.ours,
                    "leaks": s.leaks,
                })
            })
            .collect();
        print_json(&rows)?;
    } else {
        let mut text = String::new();
        for status in &statuses {
            let found = match (&status.image, status.size) {
                (None, _) => "no image: one is made from the tree when needed".to_owned(),
                (Some(image), Some(size)) => format!("{image}  {} MiB", size >> 20),
                (Some(image), None) => format!("{image}  missing"),
            };
            let _ = writeln!(text, "{}  {found}", status.instance);
            let leaks = status.leaks.as_ref().map(LeakReport::summary).unwrap_or_default();
            if !leaks.is_empty() {
                let _ = writeln!(text, "  leak guard: {leaks}");
            }
        }
        print(&text)?;
    }
    if missing > 0 {
        say(&format!("{missing} missing; `agent images pull {}` fetches them", args.dataset));
    }
    Ok(if missing == 0 { ExitCode::SUCCESS } else { Kind::Incomplete.code() })
}

pub(crate) async fn pull(args: ImagesArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let instances = instances(&args)?;
    let engine = Engine::connect().await?;
    let show = Show { stages: false, json_events: output.json };
    let reporting = Reporting::start(output, show, None)?;
    let cancel = CancellationToken::new();
    session::watch_signals(cancel.clone());
    let result = images::pull(&instances, &engine, &reporting.events, &cancel).await;
    reporting.finish().await;
    let missing = result?;
    for (_, error) in &missing {
        say(&error.to_string());
    }
    Ok(match missing.len() {
        _ if cancel.is_cancelled() => Kind::Interrupted.code(),
        0 => ExitCode::SUCCESS,
        n if n == instances.len() => Kind::Environment.code(),
        _ => Kind::Incomplete.code(),
    })
}

pub(crate) async fn prune(output: &OutputArgs) -> Result<ExitCode, CliError> {
    let engine = Engine::connect().await?;
    let pruned = images::prune(None, &engine).await?;
    if output.json {
        let kept: Vec<_> = pruned.kept.iter().map(|(image, _)| image).collect();
        print_json(&json!({"removed": pruned.removed, "kept": kept}))?;
    } else {
        print(&pruned.removed.iter().map(|image| format!("{image}\n")).collect::<String>())?;
        for (image, why) in &pruned.kept {
            say(&format!("{image} stays: {why}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
