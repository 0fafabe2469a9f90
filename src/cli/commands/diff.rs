//! `agent diff`: two runs side by side.

use std::process::ExitCode;

use crate::cli::comparison;
use crate::cli::error::{CliError, Kind};
use crate::cli::runs_args::DiffArgs;
use crate::cli::{args::OutputArgs, print, print_json};

pub(crate) fn diff(args: &DiffArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let found = comparison::compare(
        [&args.a, &args.b],
        [args.grades_a.as_ref(), args.grades_b.as_ref()],
        &args.instances,
    )?;
    if output.json {
        print_json(&found)?;
    } else {
        print(&found.render(&args.a.display().to_string(), &args.b.display().to_string()))?;
    }
    let told = args.exit_code && found.differ;
    Ok(if told { Kind::Incomplete.code() } else { ExitCode::SUCCESS })
}
