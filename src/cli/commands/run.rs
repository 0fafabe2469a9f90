//! `agent run`: many instances.

use std::process::ExitCode;

use crate::cli::args::{OutputArgs, RunArgs};
use crate::cli::error::CliError;
use crate::cli::job::{self, Job};
use crate::cli::session::Show;
use crate::cli::settings::Settings;
use crate::cli::{print, select};
use crate::pipeline::{Source, Stages};

pub(crate) async fn run(args: RunArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::within(&args.settings, &args.budget, None)?;
    if args.settings.show_config {
        print(&settings.show())?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = args.place.run.unwrap_or_else(select::default_run_dir);
    let dataset = select::dataset_of_run(&args.dataset, Some(&run), &settings.config, output)?;
    let instances = select::select(&dataset, &args.select)?;
    if args.place.dry_run {
        let ids: String = instances.iter().map(|instance| format!("{}\n", instance.id)).collect();
        crate::cli::say(&format!(
            "{} instances of {} would go to {}; {} repair and {} test samples each",
            instances.len(),
            args.dataset,
            run.display(),
            settings.config.repair.samples,
            settings.config.reproduce.samples,
        ));
        print(&ids)?;
        return Ok(ExitCode::SUCCESS);
    }
    let job = Job {
        digest: String::new(),
        pinned: None,
        source: Source::Among {
            dir: select::repos_dir(&settings.config, &args.dataset)?,
            url: settings.config.repos.url.clone(),
        },
        dataset: args.dataset,
        instances,
        order: Vec::new(),
        shard: args.select.shard,
        run,
        stages: Stages::ALL,
        show: Show { stages: false, json_events: output.json },
        replay: args.place.replay,
        record: true,
    }
    .with_rows_of(&dataset);
    let finished = job::run(job, &settings, output).await?;
    let predictions = finished.run.path().join("predictions.jsonl");
    if !output.quiet {
        crate::cli::say(&format!("predictions: {}", predictions.display()));
    }
    Ok(job::exit_kind(&finished.summary).map_or(ExitCode::SUCCESS, |kind| kind.code()))
}
