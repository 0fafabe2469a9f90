//! `agent dataset`: what is known by name, and what rows lack.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::args::{DatasetCommand, OutputArgs};
use crate::cli::error::CliError;
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, select};
use crate::dataset::{KNOWN, Row};

pub(crate) fn dataset(command: DatasetCommand, output: &OutputArgs) -> Result<ExitCode, CliError> {
    match command {
        DatasetCommand::List => list(output)?,
        DatasetCommand::Check { dataset, settings } => {
            let settings = Settings::resolve(&settings, None)?;
            check(&dataset, &settings, output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(output: &OutputArgs) -> Result<(), CliError> {
    if output.json {
        let rows: Vec<_> =
            KNOWN.iter().map(|(name, about)| json!({"name": name, "about": about})).collect();
        return print_json(&rows);
    }
    let lines: String = KNOWN.iter().map(|(name, about)| format!("{name:10} {about}\n")).collect();
    print(&lines)
}

/// What a row lacks, and which stage or command misses it.
fn lacks(row: &Row) -> Vec<&'static str> {
    let mut lacks = Vec::new();
    if row.instance.image.is_none() {
        lacks.push("image: reproduce, execute and evaluate make one from the tree");
    }
    if row.instance.test_command.is_none() {
        lacks.push("test command: execute runs no regression tests");
    }
    match &row.gold {
        None => lacks.push("gold patch and tests: evaluate cannot grade it"),
        Some(gold) if gold.fail_to_pass.is_empty() && gold.pass_to_pass.is_empty() => {
            lacks.push("FAIL_TO_PASS and PASS_TO_PASS: evaluate cannot grade it");
        }
        Some(_) => {}
    }
    lacks
}

fn check(name: &str, settings: &Settings, output: &OutputArgs) -> Result<(), CliError> {
    let dataset = select::open_dataset(name, &settings.config)?;
    let rows: Vec<_> = dataset.rows().iter().map(|row| (&row.instance.id, lacks(row))).collect();
    if output.json {
        let rows: Vec<_> =
            rows.iter().map(|(id, lacks)| json!({"instance_id": id, "lacks": lacks})).collect();
        return print_json(&json!({
            "source": dataset.source(), "sha256": dataset.digest(), "rows": rows,
        }));
    }
    let mut text =
        format!("{}: {} rows, sha256 {}\n", dataset.source(), dataset.len(), dataset.digest());
    for (id, lacks) in &rows {
        if lacks.is_empty() {
            let _ = writeln!(text, "{id}  complete");
        }
        for lack in lacks {
            let _ = writeln!(text, "{id}  lacks {lack}");
        }
    }
    print(&text)
}
