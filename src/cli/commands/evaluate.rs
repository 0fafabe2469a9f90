//! `agent evaluate`: grades predictions with a benchmark's own tests.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use crate::cli::args::OutputArgs;
use crate::cli::environment::{environment, limits};
use crate::cli::error::{CliError, Kind};
use crate::cli::evaluate_args::EvaluateArgs;
use crate::cli::session::{self, Reporting, Show};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, say, select};
use crate::dataset::Dataset;
use crate::evaluate::{self, ErrorKind, EvaluateError, Evaluation, Predictions, RunReport};

pub(crate) async fn evaluate(
    args: EvaluateArgs,
    output: &OutputArgs,
) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let run = args.predictions.parent();
    let dataset = select::dataset_of_run(&args.dataset, run, &settings.config, output)?;
    select::tell(&args.select, output);
    let predictions = predictions(&args, &dataset)?;
    let repos = select::repos_dir(&settings.config, &args.dataset)?;
    let rules = args.rules();
    let out = args.out();

    let show = Show { stages: false, json_events: false };
    let reporting = Reporting::start(output, show, None)?;
    for notice in predictions.notices() {
        reporting.events.notice(notice.clone());
    }
    let cancel = CancellationToken::new();
    session::watch_signals(cancel.clone(), true);
    let events = reporting.events.clone();
    let work = async {
        let (sandbox, _) = session::sandbox(&settings.config, &events).await?;
        let mut config = limits(&settings.config, rules, args.again());
        config.jobs = session::or_room(settings.config.run.sessions, &*sandbox).get();
        let evaluation = Evaluation {
            sandbox: &*sandbox,
            dataset: &dataset,
            config: &config,
            out: &out,
            events: &events,
            cancel: &cancel,
        };
        let report =
            evaluate::evaluate(&evaluation, &predictions, |instance| environment(instance, &repos))
                .await;
        sandbox.sweep().await;
        report.map_err(|error| {
            let kind = match error {
                EvaluateError::NoPredictions => Kind::Nothing,
                EvaluateError::NoGold { .. } => Kind::Usage,
                EvaluateError::Write { .. } => Kind::Environment,
            };
            CliError::from_error(kind, error)
        })
    };
    let report = work.await;
    drop(events);
    reporting.finish().await;
    show_report(&report?, &out, output)
}

fn predictions(args: &EvaluateArgs, dataset: &Dataset) -> Result<Predictions, CliError> {
    let mut predictions = if args.predictions == Path::new("gold") {
        Predictions::gold(dataset)
    } else {
        Predictions::load(&args.predictions, dataset)
            .map_err(|error| CliError::from_error(Kind::Usage, error))?
    };
    let selector = select::Selector::new(&args.select)?;
    predictions.retain(|id| selector.matches(id));
    Ok(predictions)
}

/// `, 2 not judged (infra)`, for each reason that there is.
fn not_judged(report: &RunReport) -> String {
    let reasons = [
        (report.not_judged_infra_ids.len(), "infra"),
        (report.harness_error_ids.len(), "gold tests cannot be set up"),
        (report.cancelled_ids.len(), "stopped"),
    ];
    let told = reasons.iter().filter(|(count, _)| *count > 0);
    told.map(|(count, reason)| format!(", {count} not judged ({reason})")).collect()
}

fn show_report(report: &RunReport, out: &Path, output: &OutputArgs) -> Result<ExitCode, CliError> {
    if output.json {
        print_json(report)?;
    } else {
        let mut text = format!(
            "resolved {} of {}{} ({} submitted, {} in the dataset)\n",
            report.resolved_instances,
            report.judged_instances,
            not_judged(report),
            report.submitted_instances,
            report.total_instances
        );
        for id in &report.unresolved_ids {
            let _ = writeln!(text, "  unresolved  {id}");
        }
        for id in &report.empty_patch_ids {
            let _ = writeln!(text, "  no patch    {id}");
        }
        for (id, error) in &report.errors {
            let kind = match error.kind {
                ErrorKind::Infra => "infra",
                _ => "error",
            };
            let _ = writeln!(text, "  {kind:<10}  {id}: {}", error.message);
        }
        print(&text)?;
        say(&format!("report: {}", out.join("report.json").display()));
    }
    Ok(if !report.cancelled_ids.is_empty() {
        Kind::Interrupted.code()
    } else if report.error_instances > 0 {
        Kind::Incomplete.code()
    } else {
        ExitCode::SUCCESS
    })
}
