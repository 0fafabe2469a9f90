//! Two run directories read for a comparison, as far as they go.

use std::path::{Path, PathBuf};

use crate::artifact::InstanceId;
use crate::cli::error::{CliError, Kind};
use crate::compare::{self, Comparison, Grades, InstanceDiff};
use crate::report::Evidence;
use crate::store::{RunDir, RunRecord};

/// One of the two runs.
struct Side {
    run: RunDir,
    record: Option<RunRecord>,
    ids: Vec<InstanceId>,
    grades: Option<Grades>,
}

/// Compares the runs in two directories; `only` names the instances wanted, none for all.
pub(crate) fn compare(
    [a, b]: [&Path; 2],
    [grades_a, grades_b]: [Option<&PathBuf>; 2],
    only: &[InstanceId],
) -> Result<Comparison, CliError> {
    let mut missing = Vec::new();
    let a = Side::open("A", a, grades_a, &mut missing)?;
    let b = Side::open("B", b, grades_b, &mut missing)?;
    let mut ids = a.ids.clone();
    ids.extend(b.ids.iter().filter(|id| !a.ids.contains(id)).cloned());
    if let Some(unknown) = only.iter().find(|id| !ids.contains(id)) {
        return Err(CliError::usage(format!("neither run has an instance {unknown}")));
    }
    if !only.is_empty() {
        ids.retain(|id| only.contains(id));
    }
    if ids.is_empty() {
        return Err(CliError::new(Kind::Nothing, "neither directory holds an instance").hint(
            "expected DIR/<instance_id>/candidates.jsonl or a run.json that names instances",
        ));
    }
    let mut instances = Vec::new();
    for id in &ids {
        let (in_a, in_b) = (a.evidence(id)?, b.evidence(id)?);
        let diff = InstanceDiff::new(id, in_a.as_ref(), in_b.as_ref());
        instances.push(diff.graded(a.grades.as_ref(), b.grades.as_ref()));
    }
    let settings = match (&a.record, &b.record) {
        (Some(a), Some(b)) => compare::settings(a, b),
        _ => Vec::new(),
    };
    let graded = a.grades.is_some() && b.grades.is_some();
    Ok(Comparison::new(missing, settings, instances, graded))
}

impl Side {
    fn open(
        name: &str,
        path: &Path,
        grades: Option<&PathBuf>,
        missing: &mut Vec<String>,
    ) -> Result<Self, CliError> {
        if !path.is_dir() {
            return Err(CliError::usage(format!("{} is not a directory", path.display()))
                .hint("name two run directories, such as runs/a runs/b"));
        }
        let run = RunDir::create(path)?;
        let record = run.record()?;
        let ids = match &record {
            Some(record) => record.instances.clone(),
            None => {
                missing.push(format!(
                    "{name} holds no run.json: settings are not compared, and its instances are \
                     the directories that hold artifacts"
                ));
                found(path)?
            }
        };
        let grades = read_grades(path, grades)?;
        Ok(Self { run, record, ids, grades })
    }

    fn evidence(&self, id: &InstanceId) -> Result<Option<Evidence>, CliError> {
        if !self.ids.contains(id) {
            return Ok(None);
        }
        Ok(Some(compare::evidence(&self.run.view(id)?)?))
    }
}

/// Directories that hold artifacts, by name.
fn found(path: &Path) -> Result<Vec<InstanceId>, CliError> {
    let failed = |error| CliError::from_error(Kind::Environment, error);
    let artifacts = ["candidates.jsonl", "localization.json", "ranking.json", "outcome.json"];
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Some(id) =
            entry.file_name().to_str().and_then(|name| InstanceId::new(name.to_owned()).ok())
        else {
            continue;
        };
        if artifacts.iter().any(|file| entry.path().join(file).is_file()) {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}

/// The report named, or the one that `agent evaluate` writes beside a run's predictions.
fn read_grades(run: &Path, named: Option<&PathBuf>) -> Result<Option<Grades>, CliError> {
    let path = match named {
        Some(path) if path.is_dir() => path.join("report.json"),
        Some(path) => path.clone(),
        None => run.join("graded/report.json"),
    };
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let shown = path.display();
    let text = std::fs::read_to_string(&path).map_err(|error| {
        CliError::usage(format!("cannot read {shown}: {error}"))
            .hint("`agent evaluate D -p FILE -o DIR` writes DIR/report.json")
    })?;
    let grades = serde_json::from_str(&text)
        .map_err(|error| CliError::usage(format!("{shown} is no grade report: {error}")))?;
    Ok(Some(grades))
}
