//! The report of a whole evaluation, with the harness's field names (schema 2) and some of ours.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::artifact::InstanceId;
use crate::dataset::Dataset;
use crate::evaluate::record::{pretty, write};
use crate::evaluate::{ErrorKind, Predictions, Verdict};
use crate::testlog::infra::{self, Tier};

/// Counts and sorted id lists over all instances of a dataset.
///
/// `completed` holds the graded ones: `resolved` and `unresolved`. `error` holds predictions with
/// a patch and without a verdict. The infrastructure's failures are listed apart but stay in
/// `error` or `unresolved`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the harness's, explained above")]
pub struct RunReport {
    pub total_instances: usize,
    pub submitted_instances: usize,
    pub completed_instances: usize,
    pub resolved_instances: usize,
    pub unresolved_instances: usize,
    pub infra_failure_instances: usize,
    pub ambiguous_failure_instances: usize,
    pub empty_patch_instances: usize,
    pub error_instances: usize,
    pub completed_ids: Vec<InstanceId>,
    pub incomplete_ids: Vec<InstanceId>,
    pub empty_patch_ids: Vec<InstanceId>,
    pub submitted_ids: Vec<InstanceId>,
    pub resolved_ids: Vec<InstanceId>,
    pub unresolved_ids: Vec<InstanceId>,
    pub infra_failure_ids: Vec<InstanceId>,
    pub ambiguous_failure_ids: Vec<InstanceId>,
    /// Why an instance is unresolved or an error, where a sign of it was found.
    pub failure_reasons: BTreeMap<InstanceId, String>,
    pub error_ids: Vec<InstanceId>,
    pub schema_version: u32,
    /// Ours: each error with its kind and a message.
    pub errors: BTreeMap<InstanceId, RunError>,
    /// Ours: of the errors, those in which the gold tests themselves could not be set up.
    pub harness_error_ids: Vec<InstanceId>,
    /// Ours: not evaluated because the run was stopped.
    pub cancelled_ids: Vec<InstanceId>,
    /// Ours: where the rows came from.
    pub dataset: String,
    /// Ours: SHA-256 of that source.
    pub dataset_digest: String,
}

/// Why an instance has no verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// Which step failed.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

impl RunReport {
    /// Sums up. `verdicts` lacks the predictions that were not evaluated; `log_of` gives the saved
    /// output of an instance's tests, which is searched for signs where a prediction is unresolved.
    pub(super) fn new(
        dataset: &Dataset,
        predictions: &Predictions,
        verdicts: &BTreeMap<InstanceId, Verdict>,
        log_of: impl Fn(&InstanceId) -> Option<String>,
    ) -> Self {
        let mut report = Self {
            total_instances: dataset.len(),
            submitted_instances: predictions.len(),
            submitted_ids: predictions.iter().map(|p| p.instance_id.clone()).collect(),
            schema_version: 2,
            dataset: dataset.source().to_owned(),
            dataset_digest: dataset.digest().to_owned(),
            ..Self::default()
        };
        let mut ids: Vec<&InstanceId> = dataset.rows().iter().map(|row| &row.instance.id).collect();
        ids.sort();
        for id in ids {
            match predictions.get(id) {
                None => report.incomplete_ids.push(id.clone()),
                Some(prediction) if prediction.model_patch.is_empty() => {
                    report.empty_patch_ids.push(id.clone());
                }
                Some(_) => match verdicts.get(id) {
                    None => report.cancelled_ids.push(id.clone()),
                    Some(verdict) => report.add(id, verdict, &log_of),
                },
            }
        }
        report.completed_instances = report.completed_ids.len();
        report.resolved_instances = report.resolved_ids.len();
        report.unresolved_instances = report.unresolved_ids.len();
        report.infra_failure_instances = report.infra_failure_ids.len();
        report.ambiguous_failure_instances = report.ambiguous_failure_ids.len();
        report.empty_patch_instances = report.empty_patch_ids.len();
        report.error_instances = report.error_ids.len();
        report
    }

    fn add(
        &mut self,
        id: &InstanceId,
        verdict: &Verdict,
        log_of: impl Fn(&InstanceId) -> Option<String>,
    ) {
        match verdict {
            Verdict::Graded { report } => {
                self.completed_ids.push(id.clone());
                if report.resolved {
                    self.resolved_ids.push(id.clone());
                    return;
                }
                self.unresolved_ids.push(id.clone());
                if let Some(sign) = log_of(id).and_then(|log| infra::classify(&log)) {
                    self.failure_reasons.insert(id.clone(), sign.reason.to_owned());
                    self.sign(id, sign.tier);
                }
            }
            Verdict::Error { kind, message } => {
                self.error_ids.push(id.clone());
                self.failure_reasons.insert(id.clone(), kind.name().to_owned());
                match kind {
                    ErrorKind::Infra => self.sign(id, Tier::Environment),
                    ErrorKind::TestsTimedOut => self.sign(id, Tier::Ambiguous),
                    ErrorKind::TestPatchNotApplied | ErrorKind::NotGradable => {
                        self.harness_error_ids.push(id.clone());
                    }
                    ErrorKind::PatchNotApplied | ErrorKind::OutputLimit => {}
                }
                let error = RunError { kind: *kind, message: message.clone() };
                self.errors.insert(id.clone(), error);
            }
        }
    }

    fn sign(&mut self, id: &InstanceId, tier: Tier) {
        match tier {
            Tier::Environment => self.infra_failure_ids.push(id.clone()),
            Tier::Ambiguous => self.ambiguous_failure_ids.push(id.clone()),
        }
    }

    /// Writes `report.json` into `out`.
    pub(super) fn save(&self, out: &Path) -> io::Result<()> {
        write(&out.join("report.json"), pretty(self)?.as_bytes())
    }
}
