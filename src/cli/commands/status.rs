//! `agent status`: how far a run is, from its files; or its events drawn again.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use crate::artifact::{InstanceOutcome, Stage};
use crate::cli::args::{OutputArgs, StatusArgs};
use crate::cli::commands::stage;
use crate::cli::error::{CliError, Kind};
use crate::cli::session::{self, Show};
use crate::cli::{print, print_json, say};
use crate::report::{self, Terminal};

pub(crate) fn status(args: &StatusArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let (run, record) = stage::open(&args.run)?;
    if args.events {
        let show = Show { stages: record.instances.len() == 1, json_events: false };
        let style = report::Style { bars: false, ..session::style(output, show) };
        let mut terminal = Terminal::new(style, Box::new(std::io::stderr()));
        let unreadable = report::replay(&run.events_path(), &mut terminal)
            .map_err(|error| CliError::from_error(Kind::Environment, error))?;
        if unreadable > 0 {
            say(&format!("{unreadable} lines of the event log are no events and were left out"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = Vec::new();
    for id in &record.instances {
        let dir = run.view(id)?;
        let word = match dir.outcome()? {
            Some(InstanceOutcome::Solved) => "solved",
            Some(InstanceOutcome::NoCandidate) => "no candidate",
            Some(InstanceOutcome::Failed { stage, cause, message, .. }) => {
                failures.push((id.clone(), stage, cause, message));
                "failed"
            }
            Some(InstanceOutcome::Cancelled) => "cancelled",
            None => Stage::ALL
                .iter()
                .rev()
                .find(|&&stage| dir.stage(stage).is_some())
                .map_or("waiting", |stage| stage.name()),
        };
        *counts.entry(word).or_default() += 1;
    }
    if output.json {
        let failed: Vec<_> = failures
            .iter()
            .map(|(id, stage, cause, message)| {
                json!({"instance_id": id, "stage": stage, "cause": cause, "message": message})
            })
            .collect();
        print_json(&json!({
            "instances": record.instances.len(),
            "model": record.model,
            "dataset": record.dataset,
            "counts": counts,
            "failures": failed,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!(
        "{}: {} instances of {}, model {}\n",
        args.run.display(),
        record.instances.len(),
        record.dataset,
        record.model
    );
    for (word, count) in counts {
        let _ = writeln!(text, "  {count:>5} {word}");
    }
    for (id, stage, cause, message) in failures {
        let _ = writeln!(text, "  {id}: {stage} ({cause}): {message}");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
