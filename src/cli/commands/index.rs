//! `agent index`: what is kept of repositories, and what it answers.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::args::OutputArgs;
use crate::cli::error::{CliError, Kind};
use crate::cli::index_args::{BuildIndexArgs, IndexCommand, IndexSettings, QueryArgs};
use crate::cli::looking::{Looked, look};
use crate::cli::{issue, print, print_json, say};
use crate::event::Events;

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

async fn build(args: BuildIndexArgs, output: &OutputArgs) -> Result<(), CliError> {
    let (looked, ()) = look(args.commit, args.index, output, async |_, _| ()).await?;
    let Looked { opened, seconds, .. } = looked;
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
    let ask = async |looked: &Looked, events: &Events| {
        looked.ask(&text, args.limit, args.repeat, events).await
    };
    let (looked, (ranked, seconds)) = look(args.commit, args.index, output, ask).await?;
    if output.json {
        return print_json(&json!({
            "commit": looked.opened.commit(), "ranked": ranked,
            "seconds": {"open": looked.seconds, "query": seconds},
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
    let (cache, settings) = args.open()?;
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
    let _ = writeln!(
        lines,
        "{total:8.1} MiB  of {} MiB (index.max_mib)",
        settings.config.index.max_mib
    );
    print(&lines)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
