//! What a finished run is held against: the grades that `agent evaluate` left, and the dataset.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::artifact::InstanceId;
use crate::cli::args::SettingsArgs;
use crate::cli::error::{CliError, Kind};
use crate::cli::select;
use crate::cli::settings::Settings;
use crate::evaluate::RunReport;
use crate::report::Grade;
use crate::store::{RunDir, RunRecord};
use crate::submission::Known;

/// A grader's report, ready to be asked.
#[derive(Debug)]
pub(crate) struct Grades {
    pub(crate) dir: PathBuf,
    pub(crate) report: RunReport,
    resolved: BTreeSet<InstanceId>,
    unresolved: BTreeSet<InstanceId>,
    empty: BTreeSet<InstanceId>,
}

impl Grades {
    /// Those of `given`, else of `RUN/graded` if they are there.
    pub(crate) fn find(run: &Path, given: Option<&Path>) -> Result<Option<Self>, CliError> {
        let dir = given.map_or_else(|| run.join("graded"), Path::to_owned);
        let path = dir.join("report.json");
        if !path.exists() && given.is_none() {
            return Ok(None);
        }
        let make = format!(
            "`agent evaluate D -p {} -o DIR` makes such a directory",
            run.join("predictions.jsonl").display()
        );
        let text = std::fs::read(&path).map_err(|error| {
            CliError::new(Kind::Usage, format!("cannot read {}: {error}", path.display()))
                .hint(make.clone())
        })?;
        let report: RunReport = serde_json::from_slice(&text).map_err(|error| {
            let problem = format!("{}: not a grader's report: {error}", path.display());
            CliError::usage(problem).hint(make)
        })?;
        let set = |ids: &[InstanceId]| ids.iter().cloned().collect();
        Ok(Some(Self {
            dir,
            resolved: set(&report.resolved_ids),
            unresolved: set(&report.unresolved_ids),
            empty: set(&report.empty_patch_ids),
            report,
        }))
    }

    /// What was said of one instance.
    pub(crate) fn of(&self, id: &InstanceId) -> Option<Grade> {
        if self.resolved.contains(id) {
            return Some(Grade::Resolved);
        }
        if self.unresolved.contains(id) {
            let reason = self.report.failure_reasons.get(id).cloned().unwrap_or_default();
            return Some(Grade::Unresolved { reason });
        }
        if self.empty.contains(id) {
            return Some(Grade::NoPatch);
        }
        let error = self.report.errors.get(id)?;
        let message = format!("{}: {}", error.kind.name(), error.message);
        Some(Grade::Error { message })
    }
}

/// The dataset's instances; where it is gone or has changed, the run's own, and a note.
pub(crate) fn dataset(
    run: &RunDir,
    record: &RunRecord,
) -> Result<(Vec<Known>, Vec<String>), CliError> {
    let base = Some((&record.settings, run.path().join("run.json")));
    let settings = Settings::resolve(&SettingsArgs::default(), base)?;
    let opened =
        select::reopen_dataset(&record.dataset, record.pinned_dataset.as_ref(), &settings.config);
    let note = match opened {
        Ok(dataset) if dataset.digest() == record.dataset_digest => {
            let rows = dataset.rows().iter().map(|row| Known {
                id: row.instance.id.clone(),
                repo: row.instance.repo.clone(),
                created_at: row.created_at.clone(),
            });
            return Ok((rows.collect(), Vec::new()));
        }
        Ok(_) => "has changed since the run",
        Err(_) => "cannot be opened any more",
    };
    let mut known = Vec::new();
    for id in &record.instances {
        let repo = run.view(id)?.instance()?.map_or_else(String::new, |instance| instance.repo);
        known.push(Known { id: id.clone(), repo, created_at: None });
    }
    let note = format!(
        "the dataset {} {note}: only the run's own instances were counted and checked",
        record.dataset
    );
    Ok((known, vec![note]))
}
