//! Runs an instance's hidden tests on a patch, through [`crate::evaluate`].

use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, InstanceId, Prediction};
use crate::dataset::Dataset;
use crate::evaluate::{
    ErrorKind, EvaluateConfig, Evaluation, Predictions, RunReport, SpecError, evaluate,
};
use crate::event::{Events, with_causes};
use crate::sandbox::{Choice, EnvironmentSpec, Sandbox, SandboxConfig, SandboxError, connect};
use crate::scratch;
use crate::serve::item::{Failure, FailureKind};

/// Says what an instance runs in.
pub type Describe = dyn Fn(&Instance) -> Result<EnvironmentSpec, SpecError> + Send + Sync;

/// A sandbox that is connected when it is first needed.
pub struct SandboxSource {
    choice: Choice,
    config: SandboxConfig,
    run: String,
    events: Events,
    sandbox: OnceCell<Arc<dyn Sandbox>>,
}

impl SandboxSource {
    /// `run` names this process's sessions.
    #[must_use]
    pub fn new(choice: Choice, config: SandboxConfig, run: String, events: Events) -> Self {
        Self { choice, config, run, events, sandbox: OnceCell::new() }
    }

    /// The sandbox. A failure is not kept: the next caller tries again.
    ///
    /// # Errors
    /// Whatever keeps it from being connected.
    pub async fn get(&self) -> Result<&Arc<dyn Sandbox>, SandboxError> {
        self.sandbox
            .get_or_try_init(|| async {
                let events = self.events.clone();
                let connected = connect(self.choice, self.config.clone(), &self.run, events).await;
                let (sandbox, told) = connected?;
                self.events.notice(format!("sandbox: {told}"));
                Ok(sandbox)
            })
            .await
    }

    /// Removes what sessions have left, if any ran.
    pub async fn sweep(&self) {
        if let Some(sandbox) = self.sandbox.get() {
            sandbox.sweep().await;
        }
    }
}

/// All that judging a patch takes.
pub struct Grader {
    /// Rows with their hidden tests.
    pub dataset: Arc<Dataset>,
    /// Where tests run.
    pub sandbox: Arc<SandboxSource>,
    /// What an instance runs in.
    pub describe: Box<Describe>,
    /// Limits; `jobs` bounds the patches judged at one time.
    pub config: EvaluateConfig,
    /// Where patches, logs and verdicts are kept; without it nothing is.
    pub keep: Option<PathBuf>,
    /// Where progress is told.
    pub events: Events,
    /// Ends what runs when the server has ended.
    pub cancel: CancellationToken,
}

/// What the tests say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) resolved: bool,
    /// Why not, where more is known than that tests failed.
    pub(super) error: Option<String>,
}

impl Grader {
    /// Judges a patch.
    pub(super) async fn judge(&self, id: &InstanceId, patch: &str) -> Result<Verdict, Failure> {
        let infra = |reason: String| Failure::new(FailureKind::Infra, reason);
        let sandbox = self.sandbox.get().await.map_err(|error| infra(with_causes(&error)))?;
        let scratch;
        let out = match &self.keep {
            Some(dir) => dir.join(digest(patch)),
            None => {
                scratch = scratch::Dir::new("agent-reward-")
                    .map_err(|error| infra(format!("cannot make a directory: {error}")))?;
                scratch.path().to_owned()
            }
        };
        let prediction = Prediction {
            instance_id: id.clone(),
            model_name_or_path: "reward".to_owned(),
            model_patch: patch.to_owned(),
        };
        let evaluation = Evaluation {
            sandbox: &**sandbox,
            dataset: &self.dataset,
            config: &self.config,
            out: &out,
            events: &self.events,
            cancel: &self.cancel,
        };
        let describe = |instance: &Instance| (self.describe)(instance);
        let report = evaluate(&evaluation, &Predictions::of([prediction]), describe).await;
        verdict(id, &report.map_err(|error| infra(with_causes(&error)))?)
    }
}

/// What a report over one prediction says. Only failures that are surely not the patch's are
/// masked: a patch that makes the tests hang or flood has not resolved its issue.
fn verdict(id: &InstanceId, report: &RunReport) -> Result<Verdict, Failure> {
    let reason = || report.failure_reasons.get(id).cloned().unwrap_or_default();
    let unresolved = |error: Option<String>| Ok(Verdict { resolved: false, error });
    if report.resolved_ids.contains(id) {
        return Ok(Verdict { resolved: true, error: None });
    }
    if let Some(error) = report.errors.get(id) {
        let failed = |kind| Err(Failure::new(kind, error.message.clone()));
        return match error.kind {
            ErrorKind::Infra => failed(FailureKind::Infra),
            ErrorKind::NotGradable | ErrorKind::TestPatchNotApplied | ErrorKind::Lost => {
                failed(FailureKind::NotGradable)
            }
            ErrorKind::PatchNotApplied | ErrorKind::OutputLimit | ErrorKind::TestsTimedOut => {
                unresolved(Some(error.message.clone()))
            }
        };
    }
    if report.infra_failure_ids.contains(id) {
        return Err(Failure::new(FailureKind::Infra, reason()));
    }
    if report.unresolved_ids.contains(id) {
        return unresolved(Some(reason()).filter(|reason| !reason.is_empty()));
    }
    if report.empty_patch_ids.contains(id) {
        return unresolved(Some("the patch is empty".to_owned()));
    }
    Err(Failure::new(FailureKind::Shutdown, "the server ended before the tests did"))
}

fn digest(patch: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(patch).iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::RunError;

    fn told(kind: ErrorKind) -> Result<Verdict, Failure> {
        let id = InstanceId::new("a__b-1").unwrap();
        let mut report = RunReport::default();
        report.error_ids.push(id.clone());
        report.errors.insert(id.clone(), RunError { kind, message: "why".to_owned() });
        verdict(&id, &report)
    }

    #[test]
    fn what_is_not_the_patchs_fault_never_becomes_a_number() {
        for kind in [ErrorKind::Infra, ErrorKind::NotGradable, ErrorKind::TestPatchNotApplied] {
            assert!(told(kind).is_err(), "{kind:?}");
        }
        for kind in [ErrorKind::PatchNotApplied, ErrorKind::OutputLimit, ErrorKind::TestsTimedOut] {
            assert!(!told(kind).unwrap().resolved, "{kind:?}");
        }
        let id = InstanceId::new("a__b-1").unwrap();
        // A log that shows a broken environment stays in `unresolved` in the harness's report.
        let mut report = RunReport { unresolved_ids: vec![id.clone()], ..RunReport::default() };
        assert_eq!(verdict(&id, &report), Ok(Verdict { resolved: false, error: None }));
        report.infra_failure_ids.push(id.clone());
        assert_eq!(verdict(&id, &report).unwrap_err().kind, FailureKind::Infra);
        let stopped = RunReport { cancelled_ids: vec![id.clone()], ..RunReport::default() };
        assert_eq!(verdict(&id, &stopped).unwrap_err().kind, FailureKind::Shutdown);
    }
}
