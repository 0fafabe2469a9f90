//! `agent doctor`: is everything here that a run needs? Each failure names what mends it.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::cli::args::{DoctorArgs, OutputArgs};
use crate::cli::checks::{Check, containers, disk, embeddings, endpoint, git};
use crate::cli::error::{CliError, Kind};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, select};

pub(crate) async fn doctor(args: DoctorArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let mut checks = endpoint(&settings, args.context).await;
    checks.extend(embeddings(&settings).await);
    checks.extend(containers(&settings).await);
    checks.push(git());
    checks.push(disk());
    if let Some(name) = &args.dataset {
        checks.push(match select::open_dataset(name, &settings.config, output) {
            Ok(dataset) => Check::good("dataset", format!("{name}: {} rows", dataset.len())),
            Err(error) => Check::bad("dataset", error.render(false).trim_end(), ""),
        });
    }
    if output.json {
        print_json(&checks)?;
    } else {
        let mut text = String::new();
        for check in &checks {
            text.push_str(&line(check));
        }
        print(&text)?;
    }
    let ok = checks.iter().all(|check| check.ok);
    Ok(if ok { ExitCode::SUCCESS } else { Kind::Environment.code() })
}

/// Abilities of an endpoint stand below it, indented.
fn line(check: &Check) -> String {
    let mut text = String::new();
    let word = match (check.ok, check.can) {
        (false, _) => "FAIL",
        (true, None) if !check.of.is_empty() => "?",
        (true, Some(false)) => "no",
        (true, _) => "ok",
    };
    let indent = if check.of.is_empty() { 0 } else { 2 };
    let _ = writeln!(text, "{:indent$}{word:4} {:17} {}", "", check.what, check.found);
    let mut below = |label: &str, words: &str| {
        if !words.is_empty() {
            let _ = writeln!(text, "{:indent$}     {:17} {label}: {words}", "", "");
        }
    };
    below("instead", check.instead);
    below("mend", &check.mend);
    text
}
