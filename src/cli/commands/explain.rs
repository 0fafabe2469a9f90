//! `agent explain`: why a patch won.

use std::process::ExitCode;

use crate::cli::args::{ExplainArgs, OutputArgs};
use crate::cli::commands::stage;
use crate::cli::error::CliError;
use crate::cli::{print, print_json};
use crate::report::{self, Evidence};

pub(crate) fn explain(args: &ExplainArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let (run, record) = stage::open(&args.run)?;
    let dir = run.view(&args.instance)?;
    let evidence = Evidence {
        outcome: dir.outcome()?,
        localization: dir.localization()?,
        candidates: dir.candidates()?,
        tests: dir.tests()?,
        executions: dir.executions()?,
        ranking: dir.ranking()?,
    };
    if dir.instance()?.is_none() && evidence.candidates.is_empty() {
        let known = record.instances.iter().take(10).map(ToString::to_string);
        return Err(CliError::usage(format!(
            "{} has no instance {}",
            args.run.display(),
            args.instance
        ))
        .hint(format!("it holds {}", known.collect::<Vec<_>>().join(", "))));
    }
    if output.json {
        print_json(&serde_json::json!({
            "instance_id": args.instance,
            "outcome": evidence.outcome,
            "localization": evidence.localization,
            "candidates": evidence.candidates,
            "tests": evidence.tests,
            "executions": evidence.executions,
            "ranking": evidence.ranking,
        }))?;
    } else {
        print(&report::explain(args.instance.as_str(), &evidence))?;
    }
    Ok(ExitCode::SUCCESS)
}
