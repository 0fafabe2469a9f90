//! `agent dataset`: what is known by name, fetching, and what rows lack.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::cli::args::{DatasetCommand, OutputArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::readiness::{self, Finding, Machine, Stage, Weight};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, say, select};
use crate::dataset::{self, Dataset, Hub, KNOWN};

/// Rows of a group that are named without `-v`.
const NAMED: usize = 3;

pub(crate) async fn dataset(
    command: DatasetCommand,
    output: &OutputArgs,
) -> Result<ExitCode, CliError> {
    match command {
        DatasetCommand::List => list(output).map(|()| ExitCode::SUCCESS),
        DatasetCommand::Fetch { dataset, settings } => {
            let settings = Settings::resolve(&settings, None)?;
            let dataset = select::open_dataset(&dataset, &settings.config, output)?;
            fetched(&dataset, output).map(|()| ExitCode::SUCCESS)
        }
        DatasetCommand::Check { dataset, settings } => {
            check(&dataset, &Settings::resolve(&settings, None)?, output).await
        }
    }
}

fn list(output: &OutputArgs) -> Result<(), CliError> {
    let (cache, hub) = (select::cache_dir()?, Hub::from_env());
    let (mut rows, mut text) = (Vec::new(), String::new());
    for (name, about) in KNOWN {
        let here = dataset::here(name, &cache, &hub);
        let state = match &here {
            None if name == "packages" => "not built".to_owned(),
            None => format!("not cached; `agent dataset fetch {name}` fetches it"),
            Some(here) => {
                let commit = here.commit.as_ref();
                let commit = commit.map_or_else(String::new, |commit| format!(" at {commit}"));
                format!("here: {} rows{commit}", here.rows)
            }
        };
        let _ = writeln!(text, "{name:10} {about}\n{:10} {state}", "");
        let (count, commit) = here.map_or((None, None), |here| (Some(here.rows), here.commit));
        rows.push(json!({"name": name, "about": about, "rows": count, "revision": commit}));
    }
    if output.json { print_json(&rows) } else { print(&text) }
}

/// The name that opens just these rows, for `run.json`s and for other machines.
fn fetched(dataset: &Dataset, output: &OutputArgs) -> Result<(), CliError> {
    let pinned = dataset.pinned().map(ToString::to_string);
    if output.json {
        return print_json(&json!({
            "source": dataset.source(), "pinned": pinned, "sha256": dataset.digest(),
            "rows": dataset.len(), "files": dataset.cached_files(),
        }));
    }
    print(&format!("{}\n", pinned.as_deref().unwrap_or(dataset.source())))
}

async fn check(name: &str, settings: &Settings, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let dataset = select::open_dataset(name, &settings.config, output)?;
    let machine = Machine::look(&dataset, name, &settings.config).await?;
    let findings = machine.check(&dataset);
    if !machine.has_engine() && !output.quiet {
        say("note: no container engine was asked for images");
    }
    if output.json {
        let stages = Stage::ALL.map(|stage| (stage.name().to_owned(), counted(&findings, stage)));
        print_json(&json!({
            "source": dataset.source(), "pinned": dataset.pinned().map(ToString::to_string),
            "sha256": dataset.digest(), "images_looked_for": machine.has_engine(),
            "stages": Map::from_iter(stages), "rows": findings,
        }))?;
    } else {
        print(&table(&dataset, &findings, output.verbose))?;
    }
    let unusable = findings.iter().any(|row| row.weight(Stage::Localize) == Some(Weight::Cannot));
    Ok(if unusable { Kind::Incomplete.code() } else { ExitCode::SUCCESS })
}

/// Rows of a stage by the worst that they lack.
fn counts(findings: &[Finding], stage: Stage) -> [usize; 4] {
    [None, Some(Weight::OnDemand), Some(Weight::Less), Some(Weight::Cannot)]
        .map(|weight| findings.iter().filter(|row| row.weight(stage) == weight).count())
}

fn counted(findings: &[Finding], stage: Stage) -> Value {
    let [ready, on_demand, less, cannot] = counts(findings, stage);
    json!({"ready": ready, "on_demand": on_demand, "less": less, "cannot": cannot})
}

fn table(dataset: &Dataset, findings: &[Finding], all: bool) -> String {
    let (source, rows, digest) = (dataset.source(), dataset.len(), dataset.digest());
    let mut text = format!("{source}: {rows} rows, sha256 {digest}\n\n");
    text += "stage       ready  on demand  less  cannot\n";
    for stage in Stage::ALL {
        let [ready, on_demand, less, cannot] = counts(findings, stage);
        let name = stage.name();
        let _ = writeln!(text, "{name:10} {ready:>6} {on_demand:>10} {less:>5} {cannot:>7}");
    }
    for (lack, ids) in readiness::groups(findings) {
        let stages: Vec<_> = lack.stages.iter().map(|stage| stage.name()).collect();
        let (weight, stages) = (lack.weight.words(), stages.join(", "));
        let _ = writeln!(text, "\n{weight}, {} rows, {stages}\n  {}", ids.len(), lack.what);
        let named = if all { ids.len() } else { ids.len().min(NAMED) };
        let more = match ids.len() - named {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let _ = writeln!(text, "  {}{more}", ids[..named].join(", "));
    }
    text
}
