//! `agent solve`: one issue; the patch goes to standard output.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::artifact::{Instance, LogFormat, TestCommand};
use crate::cli::args::{OutputArgs, SolveArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::job::{self, Job};
use crate::cli::session::Show;
use crate::cli::settings::Settings;
use crate::cli::{issue, print, print_json, runner, say, select};
use crate::dataset::{OwnIssue, own};
use crate::pipeline::{Source, Stages, prediction};
use crate::repo::{self, Checkout};

pub(crate) async fn solve(args: SolveArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::within(&args.settings, &args.budget, None)?;
    if args.settings.show_config {
        print(&settings.show())?;
        return Ok(ExitCode::SUCCESS);
    }
    let (instance, job) = match (&args.instance, &args.repo) {
        (Some(id), _) => of_dataset(&args, id, &settings, output)?,
        (None, Some(path)) => of_own_repository(&args, path, output.quiet).await?,
        (None, None) => return Err(CliError::usage("give --instance or --repo")),
    };
    if args.place.dry_run {
        let (id, commit, run) = (&instance.id, &instance.base_commit, job.run.display());
        say(&format!("{id} at {commit} would go to {run}"));
        return Ok(ExitCode::SUCCESS);
    }
    let finished = job::run(job, &settings, output).await?;
    let dir = finished.run.view(&instance.id)?;
    let patch = prediction(&dir, &instance, "")?.map(|p| p.model_patch).unwrap_or_default();
    if output.json {
        print_json(&json!({
            "instance_id": instance.id,
            "outcome": finished.summary.outcomes.get(&instance.id),
            "patch": patch,
            "run": finished.run.path(),
        }))?;
    } else {
        print(&patch)?;
    }
    if let Some(error) = job::failure(finished.summary.outcomes.get(&instance.id)) {
        return Err(error);
    }
    if !output.quiet {
        say(&format!("why: agent explain {} {}", finished.run.path().display(), instance.id));
    }
    if args.apply
        && let Some(path) = &args.repo
        && !patch.is_empty()
    {
        repo::apply_to_worktree(path, &patch)?;
        say(&format!("applied to {}", path.display()));
    }
    Ok(job::exit_kind(&finished.summary).map_or(ExitCode::SUCCESS, Kind::code))
}

fn job(args: &SolveArgs, dataset: &str, instance: &Instance, source: Source) -> Job {
    Job {
        dataset: dataset.to_owned(),
        digest: String::new(),
        pinned: None,
        instances: vec![instance.clone()],
        order: vec![instance.id.clone()],
        shard: None,
        source,
        run: args.place.run.clone().unwrap_or_else(select::default_run_dir),
        stages: Stages::ALL,
        show: Show { stages: true, json_events: false },
        replay: args.place.replay.clone(),
        record: true,
    }
}

fn of_dataset(
    args: &SolveArgs,
    id: &str,
    settings: &Settings,
    output: &OutputArgs,
) -> Result<(Instance, Job), CliError> {
    let name = args.dataset.as_deref().unwrap_or("sample");
    let run = args.place.run.as_deref();
    let dataset = select::dataset_of_run(name, run, &settings.config, output)?;
    let instance = select::find(&dataset, id)?;
    let source = Source::Among {
        dir: select::repos_dir(&settings.config, name)?,
        url: settings.config.repos.url.clone(),
    };
    let job = job(args, name, &instance, source).with_rows_of(&dataset);
    Ok((instance, job))
}

async fn of_own_repository(
    args: &SolveArgs,
    path: &Path,
    quiet: bool,
) -> Result<(Instance, Job), CliError> {
    let text = issue::read(args.issue.as_deref().unwrap_or("-")).await?;
    let checkout = Checkout::discover(path, &args.rev)?;
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let label = absolute.file_name().map_or("repository".into(), |name| name.to_string_lossy());
    let found = args.test_command.is_none().then(|| runner::detected(&checkout)).flatten();
    let given = args.test_command.as_ref().filter(|command| !command.trim().is_empty());
    let given = given.map(|command| TestCommand {
        command: command.clone(),
        log_format: args.log_format.unwrap_or(LogFormat::Pytest),
    });
    let instance = own(OwnIssue {
        issue: &text,
        repo: &label,
        base_commit: checkout.base_commit(),
        image: args.image.clone(),
        test_command: given.or(found.as_ref().map(|found| found.command.clone())),
        install: args.install.clone(),
    })
    .map_err(|error| CliError::from_error(Kind::Usage, error))?;
    if let Some(found) = found.filter(|_| !quiet) {
        say(&runner::told(&found));
    }
    let source = Source::At(checkout.path().to_owned());
    let job = job(args, &absolute.display().to_string(), &instance, source);
    Ok((instance, job))
}
