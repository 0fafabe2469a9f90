//! `agent index`: what is kept of repositories, and what it answers.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;

use crate::cli::args::OutputArgs;
use crate::cli::error::{CliError, Kind};
use crate::cli::index_args::{BuildIndexArgs, CommitArgs, IndexCommand, IndexSettings, QueryArgs};
use crate::cli::session::{Reporting, Show};
use crate::cli::{issue, print, print_json, say};
use crate::config::Config;
use crate::event::Events;
use crate::index::Opened;
use crate::repo::Checkout;

pub(crate) async fn index(
    command: IndexCommand,
    output: &OutputArgs,
) -> Result<ExitCode, CliError> {
    match command {
        IndexCommand::Build(args) => build(args, output).await?,
        IndexCommand::Query(args) => query(args, output).await?,
        IndexCommand::Stats(args) => stats(args, output)?,
        IndexCommand::Clear(args) => {
            let (cache, _) = args.open()?;
            let removed =
                cache.clear().map_err(|error| CliError::from_error(Kind::Environment, error))?;
            say(&format!("removed {removed} indexes"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Opens a commit and all that is known of it, on a thread that may block.
async fn look(
    commit: CommitArgs,
    index: IndexSettings,
    output: &OutputArgs,
) -> Result<(Opened, Config, f64), CliError> {
    let start = Instant::now();
    let (cache, config) = index.open()?;
    let history = config.localize.history_commits;
    let work = move |events: Events| {
        let checkout = Checkout::discover(&commit.repo, &commit.rev)?;
        cache.open(Arc::new(checkout), history, &events)
    };
    let reporting = Reporting::start(output, Show { stages: false, json_events: false }, None)?;
    let events = reporting.events.clone();
    let opened = tokio::task::spawn_blocking(move || work(events)).await;
    for message in reporting.finish().await {
        say(&message);
    }
    let opened = opened.map_err(|error| CliError::from_error(Kind::Environment, error))??;
    Ok((opened, config, start.elapsed().as_secs_f64()))
}

async fn build(args: BuildIndexArgs, output: &OutputArgs) -> Result<(), CliError> {
    let (opened, _, seconds) = look(args.commit, args.index, output).await?;
    let (size, (sources, files)) = (opened.size(), opened.files());
    if output.json {
        return print_json(&json!({
            "commit": opened.commit(), "sources": sources, "files": files,
            "commits": opened.commits(), "seconds": seconds, "kept": opened.home(),
            "blobs": size.blobs, "documents": size.documents, "segments": size.segments,
        }));
    }
    say(&format!(
        "{}: {files} files ({sources} sources), {} commits in {seconds:.2} s",
        opened.commit(),
        opened.commits()
    ));
    Ok(())
}

async fn query(args: QueryArgs, output: &OutputArgs) -> Result<(), CliError> {
    let text = issue::read(&args.issue).await?;
    if text.trim().is_empty() {
        return Err(CliError::usage("the issue is empty: there is nothing to search for"));
    }
    let (opened, config, open_seconds) = look(args.commit, args.index, output).await?;
    let mut seconds = Vec::new();
    let mut ranked = Vec::new();
    for _ in 0..args.repeat {
        let start = Instant::now();
        ranked = opened.rank(&text, &config.localize.ranking(), args.limit);
        seconds.push(start.elapsed().as_secs_f64());
    }
    if output.json {
        return print_json(&json!({
            "commit": opened.commit(), "ranked": ranked,
            "seconds": {"open": open_seconds, "query": seconds},
        }));
    }
    let mut lines = String::new();
    for (rank, file) in ranked.iter().enumerate() {
        let reasons = file.reasons.join(", ");
        let _ = writeln!(lines, "{:3}  {}  ({reasons})", rank + 1, file.path);
    }
    print(&lines)
}

fn stats(args: IndexSettings, output: &OutputArgs) -> Result<(), CliError> {
    let (cache, config) = args.open()?;
    let kept = cache.kept();
    if output.json {
        let entry = |kept: &crate::index::Kept| {
            let used = kept.used.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            json!({"path": kept.path, "bytes": kept.bytes, "used": used.as_secs()})
        };
        return print_json(&kept.iter().map(entry).collect::<Vec<_>>());
    }
    let mut lines = String::new();
    for kept in &kept {
        let _ = writeln!(lines, "{:8.1} MiB  {}", mebibytes(kept.bytes), kept.path.display());
    }
    let total = mebibytes(kept.iter().map(|kept| kept.bytes).sum());
    let _ = writeln!(lines, "{total:8.1} MiB  of {} MiB (index.max_mib)", config.index.max_mib);
    print(&lines)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
