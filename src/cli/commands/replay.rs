//! `agent replay`: a recorded run made anew under other settings, without model and sandbox.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::artifact::{InstanceId, InstanceOutcome};
use crate::budget::Budget;
use crate::cli::args::OutputArgs;
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::job::Job;
use crate::cli::runs_args::ReplayArgs;
use crate::cli::session::{self, Replies, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{comparison, given, print, print_json, replaying, say, select};
use crate::pipeline::{Plan, Stages};
use crate::store::RunDir;

pub(crate) async fn replay(args: ReplayArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let (from, record) = stage::open(&args.run)?;
    let base = (&record.settings, args.run.join("run.json"));
    let settings = Settings::resolve(&args.settings, Some(base))?;
    if args.settings.show_config {
        print(&settings.show())?;
        return Ok(ExitCode::SUCCESS);
    }
    select::tell(&args.select, output);
    let instances = stage::instances(&args.run, &record, &args.select)?;
    let out = place(&args)?;
    let show = Show { stages: false, json_events: false };
    let job = Job {
        source: stage::source(&record, &settings)?,
        dataset: record.dataset.clone(),
        digest: record.dataset_digest.clone(),
        pinned: record.pinned_dataset.clone(),
        instances,
        order: record.instances.clone(),
        shard: None,
        run: out.clone(),
        stages: Stages::ALL,
        show,
        replay: Some(None),
        record: true,
    };
    let given = Arc::new(given::read(&settings, &job)?);
    let plan = Plan { given, ..session::plan(&settings.config, Stages::ALL)? };
    let replies =
        session::replies(job.replay.as_ref(), &settings, &from, &job.dataset, &job.instances)
            .map_err(|_| {
                CliError::usage(format!("{} holds no journal to replay", args.run.display())).hint(
            "journals are RUN/<instance_id>/journal.jsonl.zst, which a run with a model writes",
        )
            })?;
    select::hide_runs(&out)?;
    let run = RunDir::create(&out)?;
    let copies = matches!(replies, Replies::Journals(_));
    let reporting = Reporting::start(output, show, Some(&run.events_path()))?;
    let cancel = CancellationToken::new();
    let unlimited = Arc::new(Budget::unlimited());
    session::watch_signals(cancel.clone(), true);
    let events = reporting.events.clone();
    let work = async {
        let model = session::model(replies, &settings, &from, &events, &cancel, &unlimited).await?;
        let runs = replaying::Runs { from: &from, to: &run, record, copies };
        replaying::all(runs, &job, &settings, plan, model, events.clone(), cancel.clone()).await
    };
    let replayed = work.await;
    drop(events);
    for message in reporting.finish().await {
        say(&message);
    }
    let replayed = replayed?;
    let ids: Vec<InstanceId> = replayed.iter().map(|(id, _)| id.clone()).collect();
    let found = comparison::compare([&args.run, &out], [None, None], &ids)?;
    let incomplete = replaying::incomplete(&replayed);
    if output.json {
        let open: Vec<_> = incomplete
            .iter()
            .map(|(id, r)| {
                json!({"instance_id": id, "untested": r.untested, "untried": r.untried,
                       "regression": r.regression})
            })
            .collect();
        print_json(&json!({"run": out, "incomplete": open, "comparison": found}))?;
    } else {
        print(&found.render(&args.run.display().to_string(), &out.display().to_string()))?;
        print(&replaying::describe(&incomplete, &out))?;
    }
    let ended =
        |wanted: fn(&InstanceOutcome) -> bool| replayed.iter().any(|(_, r)| wanted(&r.outcome));
    Ok(if ended(|outcome| matches!(outcome, InstanceOutcome::Cancelled)) {
        Kind::Interrupted.code()
    } else if ended(|outcome| !matches!(outcome, InstanceOutcome::Solved)) {
        Kind::Incomplete.code()
    } else {
        ExitCode::SUCCESS
    })
}

/// The directory wanted, or the first free one of `RUN-replay`, `RUN-replay-2`, …
fn place(args: &ReplayArgs) -> Result<PathBuf, CliError> {
    let free = |path: &Path| std::fs::read_dir(path).map_or(true, |mut dir| dir.next().is_none());
    if let Some(out) = &args.out {
        if free(out) {
            return Ok(out.clone());
        }
        return Err(CliError::usage(format!("{} is not empty", out.display()))
            .hint("name a new directory with -o, or none to have one derived from RUN"));
    }
    let whole = args.run.canonicalize().unwrap_or_else(|_| args.run.clone());
    let name = whole.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy());
    let number = |n: u32| if n == 1 { String::new() } else { format!("-{n}") };
    let named = |n| args.run.join("..").join(format!("{name}-replay{}", number(n)));
    let beside = |n| match args.run.parent() {
        Some(parent) if args.run.file_name().is_some() => {
            parent.join(format!("{name}-replay{}", number(n)))
        }
        _ => named(n),
    };
    (1..1000).map(beside).find(|path| free(path)).ok_or_else(|| {
        CliError::usage("a thousand replays lie beside RUN").hint("name a directory with -o")
    })
}
