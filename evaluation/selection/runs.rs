//! Run directories with their truth, as cases.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::path::Path;

use agent::artifact::{Candidate, InstanceId, Prediction};
use agent::store::{InstanceDir, RunDir};
use serde::{Deserialize, Serialize};

use crate::measure::key;
use crate::simulator::Case;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A row of `truth.jsonl`: whether the patches of a class resolve the instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Truth {
    instance_id: InstanceId,
    class: String,
    right: bool,
}

/// What is needed of the report of `agent evaluate`.
#[derive(Debug, Deserialize)]
struct Report {
    resolved_ids: BTreeSet<InstanceId>,
    unresolved_ids: BTreeSet<InstanceId>,
    #[serde(default)]
    errors: BTreeMap<InstanceId, Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    kind: String,
    message: String,
}

/// Errors for which the patch is to blame, so that it is wrong.
const PATCH_ERRORS: [&str; 3] = ["patch_not_applied", "tests_timed_out", "output_limit"];

/// The instances of a run that have candidates, in the order of their names.
fn instances(run: &Path) -> Result<Vec<(InstanceId, InstanceDir)>> {
    let entries =
        fs::read_dir(run).map_err(|error| format!("cannot read {}: {error}", run.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let Some(Ok(id)) = name.map(InstanceId::new) else { continue };
        if path.join("candidates.jsonl").exists() {
            found.push((id.clone(), RunDir::create(run)?.view(&id)?));
        }
    }
    if found.is_empty() {
        return Err(format!(
            "{} holds no run: expected {0}/<instance_id>/candidates.jsonl",
            run.display()
        )
        .into());
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// Valid classes with a patch of each, by first sample.
fn patches(candidates: Vec<Candidate>) -> Vec<(String, String)> {
    let mut candidates: Vec<Candidate> = candidates.into_iter().filter(Candidate::is_ok).collect();
    candidates.sort_by_key(|candidate| candidate.id);
    let mut seen = BTreeSet::new();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let key = key(&candidate);
            seen.insert(key.clone()).then_some((key, candidate.patch))
        })
        .collect()
}

/// Writes `class-000.jsonl`, …: predictions with the n-th class of every instance that has one.
pub(crate) fn write_classes(run: &Path, out: &Path) -> Result<usize> {
    let mut files: Vec<String> = Vec::new();
    for (id, dir) in instances(run)? {
        for (place, (class, patch)) in patches(dir.candidates()?).into_iter().enumerate() {
            if files.len() <= place {
                files.push(String::new());
            }
            let row = Prediction {
                instance_id: id.clone(),
                model_name_or_path: class,
                model_patch: patch,
            };
            files[place].push_str(&serde_json::to_string(&row)?);
            files[place].push('\n');
        }
    }
    fs::create_dir_all(out)?;
    for (place, text) in files.iter().enumerate() {
        fs::write(out.join(format!("class-{place:03}.jsonl")), text)?;
    }
    Ok(files.len())
}

/// Collects the reports `class-000.graded/report.json`, … into `truth.jsonl`.
pub(crate) fn write_truth(folder: &Path) -> Result<usize> {
    let mut text = String::new();
    let mut count = 0;
    for place in 0.. {
        let path = folder.join(format!("class-{place:03}.jsonl"));
        if !path.exists() {
            break;
        }
        let graded = path.with_extension("graded").join("report.json");
        let report = fs::read(&graded).map_err(|error| {
            format!(
                "cannot read {}: {error}; run: agent evaluate ROWS -p {} -o {}",
                graded.display(),
                path.display(),
                path.with_extension("graded").display()
            )
        })?;
        let report: Report = serde_json::from_slice(&report)
            .map_err(|error| format!("{}: {error}", graded.display()))?;
        for line in fs::read_to_string(&path)?.lines() {
            let row: Prediction = serde_json::from_str(line)?;
            let right = verdict(&report, &row.instance_id)
                .map_err(|problem| format!("{}: {problem}", graded.display()))?;
            let truth =
                Truth { instance_id: row.instance_id, class: row.model_name_or_path, right };
            text.push_str(&serde_json::to_string(&truth)?);
            text.push('\n');
            count += 1;
        }
    }
    if count == 0 {
        return Err(format!("{} holds no class-000.jsonl", folder.display()).into());
    }
    fs::write(folder.join("truth.jsonl"), text)?;
    Ok(count)
}

fn verdict(report: &Report, id: &InstanceId) -> std::result::Result<bool, String> {
    if report.resolved_ids.contains(id) {
        return Ok(true);
    }
    match report.errors.get(id) {
        Some(failure) if PATCH_ERRORS.contains(&failure.kind.as_str()) => Ok(false),
        Some(failure) => Err(format!("{id} was not graded: {}", failure.message)),
        None if report.unresolved_ids.contains(id) => Ok(false),
        None => Err(format!("{id} was not graded")),
    }
}

/// The cases of a run. Every valid class needs a row of truth.
pub(crate) fn load(run: &Path, truth: &Path) -> Result<Vec<Case>> {
    let mut known: BTreeMap<(InstanceId, String), bool> = BTreeMap::new();
    let text = fs::read_to_string(truth)
        .map_err(|error| format!("cannot read {}: {error}", truth.display()))?;
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
        let row: Truth = serde_json::from_str(line)
            .map_err(|error| format!("{}:{number}: {error}", truth.display()))?;
        known.insert((row.instance_id, row.class), row.right);
    }
    let mut cases = Vec::new();
    for (id, dir) in instances(run)? {
        let candidates = dir.candidates()?;
        let mut right = BTreeSet::new();
        for candidate in candidates.iter().filter(|candidate| candidate.is_ok()) {
            let class = key(candidate);
            match known.get(&(id.clone(), class.clone())) {
                Some(true) => _ = right.insert(class),
                Some(false) => {}
                None => {
                    return Err(
                        format!("{}: no row for {id}, class {class}", truth.display()).into()
                    );
                }
            }
        }
        cases.push(Case { candidates, executions: dir.executions()?, right });
    }
    Ok(cases)
}
