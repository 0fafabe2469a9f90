//! Localizations that are handed to a run instead of being made by it: the reference fix's files as
//! an upper bound for measurements, or lists of another system.
//!
//! This is the one place where gold data leads to what a stage works on, and only as a ready list of
//! paths that the user has asked for; settings and reasons record it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::artifact::{InstanceId, Localization, RankedFile};
use crate::cli::error::{CliError, Kind};
use crate::cli::job::Job;
use crate::cli::select;
use crate::cli::settings::Settings;
use crate::pipeline::Source;
use crate::stage::localize::Localizer;

/// Whether the settings hand in localizations.
pub(crate) fn is_wanted(settings: &Settings) -> bool {
    let config = &settings.config;
    config.localize.localizer == Localizer::Oracle
        || !config.run.localization.as_os_str().is_empty()
}

/// The localizations that the settings hand in; empty where the stage ranks by itself.
pub(crate) fn read(
    settings: &Settings,
    job: &Job,
) -> Result<BTreeMap<InstanceId, Localization>, CliError> {
    let file = &settings.config.run.localization;
    let oracle = settings.config.localize.localizer == Localizer::Oracle;
    match (oracle, file.as_os_str().is_empty()) {
        (true, true) => of_gold(settings, job),
        (true, false) => Err(CliError::usage(
            "--localizer oracle and --localization both hand in the ranking; give one of them",
        )),
        (false, false) => of_file(file, job),
        (false, true) => Ok(BTreeMap::new()),
    }
}

fn of_gold(settings: &Settings, job: &Job) -> Result<BTreeMap<InstanceId, Localization>, CliError> {
    if matches!(job.source, Source::At(_)) {
        let error = "--localizer oracle needs a reference patch, and an issue of your own has none";
        return Err(CliError::usage(error).hint("take fused, retrieval, model or mini"));
    }
    let dataset = select::reopen_dataset(&job.dataset, job.pinned.as_ref(), &settings.config)?;
    let mut given = BTreeMap::new();
    for instance in &job.instances {
        let gold = dataset.gold(&instance.id).ok_or_else(|| {
            CliError::usage(format!(
                "--localizer oracle needs a reference patch, and {} of {} has none",
                instance.id, job.dataset
            ))
            .hint("`agent dataset check D` says what rows lack")
        })?;
        given.insert(instance.id.clone(), ranked(gold.edited_files(), "given: oracle"));
    }
    Ok(given)
}

/// One row of a file of ranked lists; other fields are let through.
#[derive(Deserialize)]
struct Listed {
    instance_id: InstanceId,
    ranked: Vec<String>,
}

fn of_file(path: &Path, job: &Job) -> Result<BTreeMap<InstanceId, Localization>, CliError> {
    let name = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into());
    let expected = "{\"instance_id\": ID, \"ranked\": [PATH, ...]}";
    of_rows(path, &text(path)?, job, expected, |row: Listed| {
        Ok((row.instance_id, ranked(row.ranked, &format!("given: {name}"))))
    })
}

/// A file that the user names, whole.
pub(crate) fn text(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))
}

/// What the JSON lines of a file hand in, by instance: of all instances of the job, and of no
/// others. `take` makes something of a row or says what is wrong with it; `expected` shows one.
pub(crate) fn of_rows<R: DeserializeOwned, T>(
    path: &Path,
    text: &str,
    job: &Job,
    expected: &str,
    take: impl Fn(R) -> Result<(InstanceId, T), String>,
) -> Result<BTreeMap<InstanceId, T>, CliError> {
    let shown = path.display();
    let mut given = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let row = serde_json::from_str(line).map_err(|error| error.to_string()).and_then(&take);
        let (id, row) = row.map_err(|error| {
            CliError::usage(format!("{shown}:{number}: {error}"))
                .hint(format!("expected one JSON object a line: {expected}"))
        })?;
        given.insert(id, row);
    }
    if let Some(missing) = job.instances.iter().find(|one| !given.contains_key(&one.id)) {
        return Err(CliError::new(Kind::Usage, format!("{shown} has no row for {}", missing.id))
            .hint("select the instances that it has with --instance or --filter"));
    }
    given.retain(|id, _| job.instances.iter().any(|instance| instance.id == *id));
    Ok(given)
}

/// Best first; only the order counts.
fn ranked(paths: Vec<String>, reason: &str) -> Localization {
    let mut ranked = Vec::<RankedFile>::new();
    for path in paths {
        if ranked.iter().all(|known| known.path != path) {
            let score = 1.0 / (1.0 + ranked.len() as f64);
            let reasons = vec![format!("{reason}, rank {}", ranked.len() + 1)];
            ranked.push(RankedFile { path, score, reasons, places: Vec::new() });
        }
    }
    Localization { ranked, samples: Vec::new() }
}
