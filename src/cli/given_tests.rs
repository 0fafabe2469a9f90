//! Regression tests that are handed to a run instead of being chosen by it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::artifact::InstanceId;
use crate::cli::error::{CliError, Kind};
use crate::cli::job::Job;
use crate::cli::settings::Settings;
use crate::stage::execute::{GivenTests, RegressionTests};

/// One row; other fields are let through. The second list has the name that Agentless's files give it.
#[derive(Deserialize)]
struct Listed {
    instance_id: InstanceId,
    #[serde(default)]
    test_files: Vec<String>,
    tests_passing_in_original_repo: Option<Vec<String>>,
}

/// The regression tests that the settings hand in; empty where the stage chooses by itself.
pub(crate) fn read(
    settings: &Settings,
    job: &Job,
) -> Result<BTreeMap<InstanceId, GivenTests>, CliError> {
    let path = &settings.config.run.regression_tests;
    if path.as_os_str().is_empty() {
        return Ok(BTreeMap::new());
    }
    if settings.config.execute.regression == RegressionTests::None {
        let error =
            "--regression-files names regression tests, and execute.regression = none runs none";
        return Err(CliError::usage(error).hint("give one of them"));
    }
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("cannot read {shown}: {error}")))?;
    let lines: Vec<(usize, &str)> =
        (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty()).collect();
    let ids = job.instances.iter().map(|instance| instance.id.clone());
    if !lines.iter().any(|(_, line)| line.starts_with('{')) {
        let files: Vec<String> = lines.iter().map(|(_, line)| (*line).to_owned()).collect();
        if files.is_empty() {
            return Err(CliError::usage(format!("{shown} names no test file")));
        }
        let given = GivenTests { files, names: None };
        return Ok(ids.map(|id| (id, given.clone())).collect());
    }
    let mut given = BTreeMap::new();
    for (number, line) in lines {
        let refused = |error: String| {
            CliError::usage(format!("{shown}:{number}: {error}")).hint(
                "expected one JSON object a line: {\"instance_id\": ID, \"test_files\": [PATH, ...]}, \
                 with or without \"tests_passing_in_original_repo\": [NAME, ...]",
            )
        };
        let row: Listed = serde_json::from_str(line).map_err(|error| refused(error.to_string()))?;
        if row.test_files.is_empty() && row.tests_passing_in_original_repo.is_none() {
            return Err(refused("it names neither test files nor tests".to_owned()));
        }
        let names = row.tests_passing_in_original_repo.map(|names| names.into_iter().collect());
        given.insert(row.instance_id, GivenTests { files: row.test_files, names });
    }
    if let Some(missing) = ids.clone().find(|id| !given.contains_key(id)) {
        return Err(CliError::new(Kind::Usage, format!("{shown} has no row for {missing}"))
            .hint("select the instances that it has with --instance or --filter"));
    }
    Ok(ids.filter_map(|id| given.remove_entry(&id)).collect())
}
