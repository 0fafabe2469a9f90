//! One instance's directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::artifact::{
    Candidate, EnvironmentRecord, Execution, Instance, InstanceOutcome, Localization, Ranking,
    ReproductionTest, Stage,
};
use crate::store::StoreError;
use crate::store::files::{append, lines, make_dir, read_json, read_rows, replace, replace_json};

/// How far a stage has come, and from which inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// Version of the artifact's format.
    pub schema: u32,
    /// SHA-256 of everything the stage depends on.
    pub input: String,
    /// Whether the artifact is complete; until then its rows are parts of it.
    pub finished: bool,
    /// Wall time in seconds; of the last process that worked on it.
    pub seconds: f64,
    /// One line for people.
    pub summary: String,
}

/// `RUN/<instance_id>/`, held by one process at a time.
#[derive(Debug)]
pub struct InstanceDir {
    path: PathBuf,
    stages: Mutex<BTreeMap<Stage, StageRecord>>,
    /// Released when the file is closed, also by a kill.
    _lock: Option<File>,
}

impl InstanceDir {
    /// Opens the directory for work, making it if needed.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process works on the instance.
    pub fn open(run: &Path, instance: &Instance) -> Result<Self, StoreError> {
        let path = run.join(instance.id.as_str());
        make_dir(&path)?;
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(StoreError::io("open", &lock_path))?;
        if lock.try_lock().is_err() {
            return Err(StoreError::Locked { path: lock_path });
        }
        let directory = Self::read(path, Some(lock))?;
        replace_json(&directory.path.join("instance.json"), instance)?;
        Ok(directory)
    }

    /// Opens the directory to look at it; another process may be working there.
    ///
    /// # Errors
    /// [`StoreError`] when `stages.json` cannot be read.
    pub fn view(run: &Path, id: &crate::artifact::InstanceId) -> Result<Self, StoreError> {
        Self::read(run.join(id.as_str()), None)
    }

    fn read(path: PathBuf, lock: Option<File>) -> Result<Self, StoreError> {
        let stages = read_json(&path.join("stages.json"))?.unwrap_or_default();
        Ok(Self { path, stages: Mutex::new(stages), _lock: lock })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The instance as it was when the directory was last worked on.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn instance(&self) -> Result<Option<Instance>, StoreError> {
        read_json(&self.path.join("instance.json"))
    }

    /// What is recorded of a stage.
    #[must_use]
    pub fn stage(&self, stage: Stage) -> Option<StageRecord> {
        self.lock().get(&stage).cloned()
    }

    /// Whether the stage's artifact is complete and made from these inputs.
    #[must_use]
    pub fn is_finished(&self, stage: Stage, input: &str) -> bool {
        self.lock().get(&stage).is_some_and(|record| {
            record.finished && record.input == input && record.schema == SCHEMA
        })
    }

    /// Begins a stage: rows that an earlier process left are kept only if they were made from the
    /// same inputs.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be written.
    pub fn begin(&self, stage: Stage, input: &str) -> Result<(), StoreError> {
        let same = self.stage(stage).is_some_and(|r| r.input == input && r.schema == SCHEMA);
        if !same && let Some(file) = partial_file(stage) {
            replace(&self.path.join(file), b"")?;
        }
        self.set_stage(
            stage,
            StageRecord {
                schema: SCHEMA,
                input: input.to_owned(),
                finished: false,
                seconds: 0.0,
                summary: String::new(),
            },
        )
    }

    /// Marks a stage as finished; its artifact has been saved before.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be written.
    pub fn finish(
        &self,
        stage: Stage,
        input: &str,
        seconds: f64,
        summary: &str,
    ) -> Result<(), StoreError> {
        self.set_stage(
            stage,
            StageRecord {
                schema: SCHEMA,
                input: input.to_owned(),
                finished: true,
                seconds,
                summary: summary.to_owned(),
            },
        )
    }

    /// Takes a stage's work back, so that it is begun anew.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be written.
    pub fn forget(&self, stage: Stage) -> Result<(), StoreError> {
        // The record goes first: rows without one are dropped when the stage begins.
        let mut stages = self.lock();
        if stages.remove(&stage).is_some() {
            replace_json(&self.path.join("stages.json"), &*stages)?;
        }
        Ok(())
    }

    fn set_stage(&self, stage: Stage, record: StageRecord) -> Result<(), StoreError> {
        let mut stages = self.lock();
        stages.insert(stage, record);
        replace_json(&self.path.join("stages.json"), &*stages)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Stage, StageRecord>> {
        self.stages.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// `localization.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn localization(&self) -> Result<Option<Localization>, StoreError> {
        read_json(&self.path.join("localization.json"))
    }

    /// Saves `localization.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn save_localization(&self, value: &Localization) -> Result<(), StoreError> {
        replace_json(&self.path.join("localization.json"), value)
    }

    /// `candidates.jsonl`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn candidates(&self) -> Result<Vec<Candidate>, StoreError> {
        read_rows(&self.path.join("candidates.jsonl"))
    }

    /// Saves `candidates.jsonl`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn save_candidates(&self, rows: &[Candidate]) -> Result<(), StoreError> {
        let path = self.path.join("candidates.jsonl");
        replace(&path, &lines(&path, rows)?)
    }

    /// `tests.jsonl`: all tests of a finished stage, or those that are final so far.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn tests(&self) -> Result<Vec<ReproductionTest>, StoreError> {
        read_rows(&self.path.join("tests.jsonl"))
    }

    /// Appends a test that is final.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn append_test(&self, test: &ReproductionTest) -> Result<(), StoreError> {
        append(&self.path.join("tests.jsonl"), std::slice::from_ref(test))
    }

    /// Saves `tests.jsonl` as a whole.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn save_tests(&self, rows: &[ReproductionTest]) -> Result<(), StoreError> {
        let path = self.path.join("tests.jsonl");
        replace(&path, &lines(&path, rows)?)
    }

    /// `executions.jsonl`: all rows of a finished stage, or those that are final so far.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn executions(&self) -> Result<Vec<Execution>, StoreError> {
        read_rows(&self.path.join("executions.jsonl"))
    }

    /// Appends rows that are final.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn append_executions(&self, rows: &[Execution]) -> Result<(), StoreError> {
        append(&self.path.join("executions.jsonl"), rows)
    }

    /// Saves `executions.jsonl` as a whole.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn save_executions(&self, rows: &[Execution]) -> Result<(), StoreError> {
        let path = self.path.join("executions.jsonl");
        replace(&path, &lines(&path, rows)?)
    }

    /// `environment.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn environment(&self) -> Result<Option<EnvironmentRecord>, StoreError> {
        read_json(&self.path.join("environment.json"))
    }

    /// Saves `environment.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn save_environment(&self, value: &EnvironmentRecord) -> Result<(), StoreError> {
        replace_json(&self.path.join("environment.json"), value)
    }

    /// `ranking.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn ranking(&self) -> Result<Option<Ranking>, StoreError> {
        read_json(&self.path.join("ranking.json"))
    }

    /// Saves `ranking.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn save_ranking(&self, value: &Ranking) -> Result<(), StoreError> {
        replace_json(&self.path.join("ranking.json"), value)
    }

    /// `outcome.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn outcome(&self) -> Result<Option<InstanceOutcome>, StoreError> {
        read_json(&self.path.join("outcome.json"))
    }

    /// The patch that a finished instance gives, empty when no sample gave one; none while it is
    /// unfinished or has failed.
    ///
    /// # Errors
    /// [`StoreError`] when the artifacts cannot be read.
    pub fn patch(&self) -> Result<Option<String>, StoreError> {
        match self.outcome()? {
            Some(InstanceOutcome::NoCandidate) => Ok(Some(String::new())),
            Some(InstanceOutcome::Solved) => {
                let chosen = self.ranking()?.and_then(|ranking| ranking.chosen);
                let candidates = self.candidates()?;
                let found = candidates.into_iter().find(|candidate| Some(candidate.id) == chosen);
                Ok(found.map(|candidate| candidate.patch))
            }
            _ => Ok(None),
        }
    }

    /// Saves `outcome.json`.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be written.
    pub fn save_outcome(&self, value: &InstanceOutcome) -> Result<(), StoreError> {
        replace_json(&self.path.join("outcome.json"), value)
    }
}

/// Version of the artifacts in an instance's directory.
const SCHEMA: u32 = 1;

/// The file that a stage appends to while it runs.
fn partial_file(stage: Stage) -> Option<&'static str> {
    match stage {
        Stage::Reproduce => Some("tests.jsonl"),
        Stage::Execute => Some("executions.jsonl"),
        Stage::Localize | Stage::Repair | Stage::Rerank => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{InstanceId, Outcome, Subject, TestKind};

    fn instance() -> Instance {
        Instance {
            id: InstanceId::new("a__b-1").unwrap(),
            repo: "a/b".into(),
            base_commit: "0".repeat(40),
            problem_statement: "x".into(),
            image: None,
            test_command: None,
            install: None,
        }
    }

    fn row(test: &str) -> Execution {
        Execution {
            subject: Subject::Base,
            test: test.into(),
            kind: TestKind::Regression,
            outcome: Outcome::Pass,
            seconds: 1.5,
        }
    }

    #[test]
    fn partial_rows_survive_a_restart_but_not_a_change_of_inputs() {
        let run = tempfile::tempdir().unwrap();
        let open = || InstanceDir::open(run.path(), &instance()).unwrap();
        let dir = open();
        dir.begin(Stage::Execute, "input 1").unwrap();
        dir.append_executions(&[row("t1")]).unwrap();
        drop(dir);
        let dir = open();
        assert!(!dir.is_finished(Stage::Execute, "input 1"));
        dir.begin(Stage::Execute, "input 1").unwrap();
        assert_eq!(dir.executions().unwrap(), [row("t1")]);
        dir.finish(Stage::Execute, "input 1", 1.0, "").unwrap();
        drop(dir);
        let dir = open();
        assert!(dir.is_finished(Stage::Execute, "input 1"));
        assert!(!dir.is_finished(Stage::Execute, "input 2"));
        dir.begin(Stage::Execute, "input 2").unwrap();
        assert_eq!(dir.executions().unwrap(), []);
        dir.append_executions(&[row("t2")]).unwrap();
        dir.forget(Stage::Execute).unwrap();
        drop(dir);
        let dir = open();
        dir.begin(Stage::Execute, "input 2").unwrap();
        assert_eq!(dir.executions().unwrap(), []);
    }

    #[test]
    fn two_workers_cannot_hold_one_instance_but_anyone_may_look() {
        let run = tempfile::tempdir().unwrap();
        let held = InstanceDir::open(run.path(), &instance()).unwrap();
        let second = InstanceDir::open(run.path(), &instance());
        assert!(matches!(second, Err(StoreError::Locked { .. })));
        let view = InstanceDir::view(run.path(), &instance().id).unwrap();
        assert_eq!(view.instance().unwrap().unwrap(), instance());
        drop(held);
        InstanceDir::open(run.path(), &instance()).unwrap();
    }
}
