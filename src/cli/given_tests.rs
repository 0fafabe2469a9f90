//! Regression tests that are handed to a run instead of being chosen by it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::artifact::InstanceId;
use crate::cli::error::CliError;
use crate::cli::given;
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
    let text = given::text(path)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_none() {
        return Err(CliError::usage(format!("{} names no test file", path.display())));
    }
    if !text.lines().any(|line| line.trim_start().starts_with('{')) {
        let given = GivenTests { files: lines.map(str::to_owned).collect(), names: None };
        let ids = job.instances.iter().map(|instance| instance.id.clone());
        return Ok(ids.map(|id| (id, given.clone())).collect());
    }
    let expected = "{\"instance_id\": ID, \"test_files\": [PATH, ...]}, with or without \
                    \"tests_passing_in_original_repo\": [NAME, ...]";
    given::of_rows(path, &text, job, expected, |row: Listed| {
        if row.test_files.is_empty() && row.tests_passing_in_original_repo.is_none() {
            return Err("it names neither test files nor tests".to_owned());
        }
        let names = row.tests_passing_in_original_repo.map(|names| names.into_iter().collect());
        Ok((row.instance_id, GivenTests { files: row.test_files, names }))
    })
}
