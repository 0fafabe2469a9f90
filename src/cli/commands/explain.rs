//! `agent explain`: why a patch won, and where a run lost its samples.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::artifact::InstanceId;
use crate::cli::args::{ExplainArgs, OutputArgs};
use crate::cli::commands::stage;
use crate::cli::error::CliError;
use crate::cli::{print, print_json};
use crate::compare::evidence;
use crate::report::{self, Funnel};
use crate::store::RunDir;

pub(crate) fn explain(args: &ExplainArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let (run, record) = stage::open(&args.run)?;
    let Some(instance) = &args.instance else {
        return whole(args, output, &run, &record.instances);
    };
    let dir = run.view(instance)?;
    let evidence = evidence(&dir)?;
    if dir.instance()?.is_none() && evidence.candidates.is_empty() {
        let known = record.instances.iter().take(10).map(ToString::to_string);
        return Err(CliError::usage(format!("{} has no instance {instance}", args.run.display()))
            .hint(format!("it holds {}", known.collect::<Vec<_>>().join(", "))));
    }
    if output.json {
        print_json(&serde_json::json!({
            "instance_id": instance,
            "outcome": evidence.outcome,
            "localization": evidence.localization,
            "candidates": evidence.candidates,
            "tests": evidence.tests,
            "executions": evidence.executions,
            "ranking": evidence.ranking,
            "environment": evidence.environment,
        }))?;
    } else {
        print(&report::explain(instance.as_str(), &evidence))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All instances, one after the other: a run may be larger than the memory.
fn whole(
    args: &ExplainArgs,
    output: &OutputArgs,
    run: &RunDir,
    instances: &[InstanceId],
) -> Result<ExitCode, CliError> {
    let mut funnel = Funnel::default();
    let mut text = format!("{}: {} instances\n", args.run.display(), instances.len());
    let mut rows = Vec::new();
    for id in instances {
        let evidence = evidence(&run.view(id)?)?;
        funnel.add(&evidence.candidates, &evidence.tests, &evidence.executions);
        let summary = report::summary(&evidence);
        let _ = writeln!(text, "  {id}  {summary}");
        rows.push(serde_json::json!({
            "instance_id": id,
            "outcome": evidence.outcome,
            "chosen": evidence.ranking.as_ref().and_then(|ranking| ranking.chosen),
            "summary": summary,
        }));
    }
    if output.json {
        print_json(&serde_json::json!({"instances": rows, "funnel": funnel}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let _ = writeln!(text, "\nsamples\n  {}", funnel.samples_line());
    let _ = writeln!(text, "\ntests\n  {}", funnel.scripts_line());
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
