//! The entry for the board: `evaluation/<split>/<date>_<model>/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::artifact::{InstanceId, Prediction};
use crate::store::RunRecord;
use crate::submission::checklist::{self, Facts};
use crate::submission::{Inputs, Known, PackError, metadata, pretty, write};

/// `results.json`, with the board's names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) no_generation: Vec<InstanceId>,
    pub(super) no_logs: Vec<InstanceId>,
    pub(super) resolved: Vec<InstanceId>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Share {
    resolved: usize,
    total: usize,
}

/// More than one sample makes best@k of it, which the board writes so.
pub(super) fn attempts(record: &RunRecord) -> &'static str {
    let samples = record.setting("repair.samples").and_then(serde_json::Value::as_u64);
    if samples == Some(1) { "1" } else { "2+" }
}

pub(super) fn write_all(
    inputs: &Inputs<'_>,
    at: &Path,
    predictions: &[Prediction],
    policies: &BTreeSet<String>,
) -> Result<(), PackError> {
    let model = predictions.first().map_or("", |row| row.model_name_or_path.as_str());
    let split = match inputs.record.dataset.as_str() {
        "lite" => "lite",
        "full" => "test",
        _ => "verified",
    };
    let folder =
        at.join("evaluation").join(split).join(format!("{}_{}", inputs.date, file_name(model)));
    let results = results(inputs, at, predictions);
    let resolved: BTreeSet<&InstanceId> = results.resolved.iter().collect();
    let shares = |key: &dyn Fn(&Known) -> Option<String>| {
        let mut shares: BTreeMap<String, Share> = BTreeMap::new();
        for known in inputs.dataset {
            if let Some(key) = key(known) {
                let share = shares.entry(key).or_default();
                share.total += 1;
                share.resolved += usize::from(resolved.contains(&known.id));
            }
        }
        pretty(&shares)
    };
    let by_repo = shares(&|known| Some(known.repo.clone()));
    let by_time = shares(&|known| year(known.created_at.as_deref()?));
    let name = format!("agent + {}", inputs.record.model);
    let text = match inputs.metadata {
        Some(text) => text.to_owned(),
        None => metadata::template(&name, &inputs.record.model, attempts(inputs.record)),
    };
    let readme = checklist::readme(&Facts {
        record: inputs.record,
        run: inputs.run.path(),
        name: &name,
        model: &inputs.record.model,
        predictions,
        policies,
        resolved: results.resolved.len(),
        total: inputs.dataset.len(),
    });
    write(&folder.join("metadata.yaml"), text.as_bytes())?;
    write(&folder.join("README.md"), readme.as_bytes())?;
    write(&folder.join("results/results.json"), pretty(&results).as_bytes())?;
    write(&folder.join("results/resolved_by_repo.json"), by_repo.as_bytes())?;
    write(&folder.join("results/resolved_by_time.json"), by_time.as_bytes())
}

fn results(inputs: &Inputs<'_>, at: &Path, predictions: &[Prediction]) -> Results {
    let patches: BTreeMap<&InstanceId, &str> =
        predictions.iter().map(|row| (&row.instance_id, row.model_patch.as_str())).collect();
    let has_patch = |id: &InstanceId| patches.get(id).is_some_and(|patch| !patch.is_empty());
    let has_log =
        |id: &InstanceId| at.join("logs").join(id.as_str()).join("test_output.txt.gz").exists();
    let ids = || inputs.dataset.iter().map(|known| &known.id);
    let mut resolved = Vec::new();
    if let Some((_, report)) = inputs.grades {
        let graded: BTreeSet<&InstanceId> = report.resolved_ids.iter().collect();
        resolved = ids().filter(|id| graded.contains(id) && has_patch(id)).cloned().collect();
    }
    Results {
        no_generation: ids().filter(|id| !has_patch(id)).cloned().collect(),
        no_logs: ids().filter(|id| has_patch(id) && !has_log(id)).cloned().collect(),
        resolved,
    }
}

/// The year that a date begins with.
fn year(date: &str) -> Option<String> {
    let year = date.get(..4)?;
    year.bytes().all(|byte| byte.is_ascii_digit()).then(|| year.to_owned())
}

/// As the harness names folders, and nothing in it that leads elsewhere.
fn file_name(model: &str) -> String {
    let name: String = model
        .replace('/', "__")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '-' })
        .take(100)
        .collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_name_becomes_one_folder() {
        assert_eq!(file_name("org/Model 7B:x"), "org__Model-7B-x");
        assert_eq!(file_name("../../x"), "..__..__x");
        assert_eq!(file_name(""), "model");
    }

    #[test]
    fn years_are_read_from_dates_and_from_nothing_else() {
        assert_eq!(year("2019-04-30T01:02:03Z").as_deref(), Some("2019"));
        assert_eq!(year("April"), None);
        assert_eq!(year("19"), None);
    }
}
