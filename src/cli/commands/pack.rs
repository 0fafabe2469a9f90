//! `agent pack`: a run as the SWE-bench leaderboard wants it, or such a package checked.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use crate::artifact::InstanceId;
use crate::cli::args::OutputArgs;
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::graded::{self, Grades};
use crate::cli::pack_args::PackArgs;
use crate::cli::{print, print_json, say};
use crate::compare;
use crate::llm::Secret;
use crate::submission::{self, Inputs, Level, PackError, Problem};

pub(crate) fn pack(args: &PackArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let secrets: Vec<Secret> = ["AGENT_API_KEY", "OPENAI_API_KEY"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .map(Secret::new)
        .collect();
    match (&args.validate, &args.run, &args.output) {
        (Some(dir), ..) => {
            let problems = submission::validate(dir, &secrets, args.draft)
                .map_err(|error| failed(error).hint("`agent pack RUN -o DIR` makes a package"))?;
            show(dir, &problems, output)
        }
        (None, Some(run), Some(dir)) => {
            let problems = make(args, run, dir, &secrets)?;
            show(dir, &problems, output)
        }
        _ => Err(CliError::usage("give RUN and -o DIR, or --validate DIR")),
    }
}

fn make(
    args: &PackArgs,
    path: &Path,
    dir: &Path,
    secrets: &[Secret],
) -> Result<Vec<Problem>, CliError> {
    let (run, record) = stage::open(path)?;
    let grades = Grades::find(path, args.grades.as_deref())?;
    let metadata = args.metadata.as_ref().map(|file| {
        std::fs::read_to_string(file).map_err(|error| {
            CliError::usage(format!("cannot read --metadata {}: {error}", file.display()))
                .hint("leave it out to get one with TODO where a person must say something")
        })
    });
    let metadata = metadata.transpose()?;
    let (dataset, notes) = graded::dataset(&run, &record)?;
    let today = time::OffsetDateTime::now_utc().date();
    let inputs = Inputs {
        run: &run,
        record: &record,
        dataset: &dataset,
        notes,
        grades: grades.as_ref().map(|grades| (grades.dir.as_path(), &grades.report)),
        metadata: metadata.as_deref(),
        date: format!("{:04}{:02}{:02}", today.year(), u8::from(today.month()), today.day()),
        load: &|id: &InstanceId| compare::evidence(&run.view(id)?),
        secrets,
        draft: args.draft,
    };
    submission::pack(&inputs, dir).map_err(failed)
}

fn failed(error: PackError) -> CliError {
    match &error {
        PackError::Io { .. } => CliError::from_error(Kind::Environment, error),
        PackError::NoPrediction { .. } => CliError::from_error(Kind::Nothing, error),
        PackError::Secret { .. } => CliError::from_error(Kind::Usage, error)
            .hint("remove it from the run's file of that instance, or run again without it"),
        _ => CliError::from_error(Kind::Usage, error),
    }
}

fn show(dir: &Path, problems: &[Problem], output: &OutputArgs) -> Result<ExitCode, CliError> {
    let errors = problems.iter().filter(|problem| problem.level == Level::Error).count();
    if output.json {
        print_json(&serde_json::json!({"path": dir, "errors": errors, "problems": problems}))?;
    } else {
        let mut text = format!("{}\n", dir.display());
        for Problem { level, file, message } in problems {
            let word = if *level == Level::Error { "error" } else { "note" };
            let _ = writeln!(text, "  {word:5}  {file}: {message}");
        }
        print(&text)?;
        if errors > 0 {
            say(&format!("{errors} problems must be mended before the package is sent"));
        }
    }
    Ok(if errors > 0 { Kind::Incomplete.code() } else { ExitCode::SUCCESS })
}
