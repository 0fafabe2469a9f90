//! The grades of a run: where `agent evaluate` left them, and what they say of an instance.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::artifact::InstanceId;
use crate::cli::error::{CliError, Kind};
use crate::evaluate::RunReport;
use crate::report::Grade;

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
