//! The report of a whole evaluation, with the harness's field names (schema 2) and some of ours.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::artifact::{InstanceId, Rules};
use crate::dataset::Dataset;
use crate::evaluate::record::{pretty, write};
use crate::evaluate::{ErrorKind, Predictions, Verdict};
use crate::testlog::infra::{self, Sign, Tier};

/// Counts and sorted id lists over all instances of a dataset.
///
/// `completed` holds the graded ones: `resolved` and `unresolved`. `error` holds predictions with
/// a patch and without a verdict. The infrastructure's failures are listed apart but stay in
/// `error` or `unresolved`. What 4.1 or older versions of ours do not write is read as empty.
///
/// `judged` is the denominator that is the model's: submitted predictions, empty ones included,
/// without those that were not judged because the infrastructure failed (`not_judged_infra`), the
/// gold tests could not be set up (`harness_error`) or the evaluation was stopped (`cancelled`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the harness's, explained above")]
pub struct RunReport {
    pub total_instances: usize,
    pub submitted_instances: usize,
    pub completed_instances: usize,
    pub resolved_instances: usize,
    pub unresolved_instances: usize,
    #[serde(default)]
    pub infra_failure_instances: usize,
    #[serde(default)]
    pub ambiguous_failure_instances: usize,
    pub empty_patch_instances: usize,
    pub error_instances: usize,
    pub completed_ids: Vec<InstanceId>,
    pub incomplete_ids: Vec<InstanceId>,
    pub empty_patch_ids: Vec<InstanceId>,
    pub submitted_ids: Vec<InstanceId>,
    pub resolved_ids: Vec<InstanceId>,
    pub unresolved_ids: Vec<InstanceId>,
    #[serde(default)]
    pub infra_failure_ids: Vec<InstanceId>,
    #[serde(default)]
    pub ambiguous_failure_ids: Vec<InstanceId>,
    /// Why an instance is unresolved or an error, where a sign of it was found.
    #[serde(default)]
    pub failure_reasons: BTreeMap<InstanceId, String>,
    pub error_ids: Vec<InstanceId>,
    pub schema_version: u32,
    /// Ours: by whose rules.
    #[serde(default)]
    pub rules: Rules,
    /// Ours: submitted predictions that were judged.
    #[serde(default)]
    pub judged_instances: usize,
    /// Ours: not judged because the infrastructure failed; the next evaluation tries them again.
    #[serde(default)]
    pub not_judged_infra_ids: Vec<InstanceId>,
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
        rules: Rules,
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
            rules,
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
        let not_judged = report.not_judged_infra_ids.len()
            + report.harness_error_ids.len()
            + report.cancelled_ids.len();
        report.judged_instances = report.submitted_instances.saturating_sub(not_judged);
        report
    }

    fn add(
        &mut self,
        id: &InstanceId,
        verdict: &Verdict,
        log_of: impl Fn(&InstanceId) -> Option<String>,
    ) {
        let sign_of = |id: &InstanceId| log_of(id).and_then(|log| infra::classify(&log));
        match verdict {
            Verdict::Graded { report } => {
                self.completed_ids.push(id.clone());
                if report.resolved {
                    self.resolved_ids.push(id.clone());
                    return;
                }
                self.unresolved_ids.push(id.clone());
                self.sign(id, sign_of(id));
            }
            Verdict::Error { kind, message } => {
                self.error_ids.push(id.clone());
                match kind {
                    ErrorKind::Infra => self.not_judged_infra_ids.push(id.clone()),
                    ErrorKind::TestPatchNotApplied | ErrorKind::NotGradable => {
                        self.harness_error_ids.push(id.clone());
                    }
                    _ => {}
                }
                let tier = match kind {
                    ErrorKind::Infra => Some(Tier::Environment),
                    ErrorKind::TestsTimedOut => Some(Tier::Ambiguous),
                    _ => None,
                };
                if self.rules == Rules::Ours {
                    self.failure_reasons.insert(id.clone(), kind.name().to_owned());
                    self.tier(id, tier);
                } else {
                    self.sign(id, sign_of(id));
                }
                let error = RunError { kind: *kind, message: message.clone() };
                self.errors.insert(id.clone(), error);
            }
        }
    }

    fn sign(&mut self, id: &InstanceId, sign: Option<Sign>) {
        if let Some(sign) = sign {
            self.failure_reasons.insert(id.clone(), sign.reason.to_owned());
            self.tier(id, Some(sign.tier));
        }
    }

    fn tier(&mut self, id: &InstanceId, tier: Option<Tier>) {
        match tier {
            Some(Tier::Environment) => self.infra_failure_ids.push(id.clone()),
            Some(Tier::Ambiguous) => self.ambiguous_failure_ids.push(id.clone()),
            None => {}
        }
    }

    /// Writes `report.json` into `out`. By rules that do not know some of the fields they are left
    /// out.
    pub(super) fn save(&self, out: &Path) -> io::Result<()> {
        let mut value = serde_json::to_value(self)?;
        if let Some(fields) = value.as_object_mut().filter(|_| !self.rules.reports_infra()) {
            for newer in [
                "infra_failure_instances",
                "ambiguous_failure_instances",
                "infra_failure_ids",
                "ambiguous_failure_ids",
                "failure_reasons",
            ] {
                fields.remove(newer);
            }
        }
        write(&out.join("report.json"), pretty(&value)?.as_bytes())
    }
}
