//! `agent images check|pull|prune`: which images are here, and which are ours.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, LeakReport};
use crate::cli::args::{ImagesArgs, OutputArgs, PruneArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::session::{self, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, say, select};
use crate::event::Events;
use crate::images;
use crate::sandbox::docker::{DockerSandbox, Engine};

/// The instances, and the engines that the settings name.
async fn chosen(
    args: &ImagesArgs,
    settings: &Settings,
    output: &OutputArgs,
) -> Result<(Vec<Instance>, Vec<Engine>), CliError> {
    let dataset = select::open_dataset(&args.dataset, &settings.config, output)?;
    let instances = select::select(&dataset, &args.select)?;
    Ok((instances, session::engines(&settings.config).await?))
}

pub(crate) async fn check(args: ImagesArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    select::tell(&args.select, output);
    let (instances, engines) = chosen(&args, &settings, output).await?;
    let (mut missing, mut rows, mut text) = (0, Vec::new(), String::new());
    for engine in engines.iter().cloned() {
        let host = (engines.len() > 1).then(|| engine.host().to_owned());
        if let Some(host) = &host {
            let _ = writeln!(text, "{host}");
        }
        let config = settings.config.sandbox.clone();
        let sandbox = DockerSandbox::new(engine, config, Events::discard()).await?;
        for status in images::guard(&instances, &sandbox).await? {
            missing += usize::from(status.image.is_some() && status.size.is_none());
            let mut row = json!({
                "instance_id": status.instance, "image": status.image, "bytes": status.size,
                "ours": status.ours, "leaks": status.leaks,
            });
            if let Some(host) = &host {
                row["host"] = host.as_str().into();
            }
            rows.push(row);
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
    }
    if output.json {
        print_json(&rows)?;
    } else {
        print(&text)?;
    }
    if missing > 0 {
        say(&format!("{missing} missing; `agent images pull {}` fetches them", args.dataset));
    }
    Ok(if missing == 0 { ExitCode::SUCCESS } else { Kind::Incomplete.code() })
}

pub(crate) async fn pull(args: ImagesArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    select::tell(&args.select, output);
    let settings = Settings::resolve(&args.settings, None)?;
    let (instances, engines) = chosen(&args, &settings, output).await?;
    let show = Show { stages: false, json_events: output.json };
    let reporting = Reporting::start(output, show, None)?;
    let cancel = CancellationToken::new();
    session::watch_signals(cancel.clone(), true);
    let pulls = engines.iter().map(|engine| async {
        let missing = images::pull(&instances, engine, &reporting.events, &cancel).await?;
        Ok::<_, CliError>(missing.into_iter().map(|(_, error)| (engine.host(), error)))
    });
    let result = futures_util::future::try_join_all(pulls).await;
    reporting.finish().await;
    let missing: Vec<_> = result?.into_iter().flatten().collect();
    for (host, error) in &missing {
        let place = if engines.len() > 1 { format!("{host}: ") } else { String::new() };
        say(&format!("{place}{error}"));
    }
    Ok(match missing.len() {
        _ if cancel.is_cancelled() => Kind::Interrupted.code(),
        0 => ExitCode::SUCCESS,
        n if n == instances.len() * engines.len() => Kind::Environment.code(),
        _ => Kind::Incomplete.code(),
    })
}

pub(crate) async fn prune(args: &PruneArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let mut pruned = images::Pruned::default();
    for engine in session::engines(&settings.config).await? {
        let of_one = images::prune(None, &engine).await?;
        pruned.removed.extend(of_one.removed);
        pruned.kept.extend(of_one.kept);
    }
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
