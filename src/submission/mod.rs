//! A run as the SWE-bench leaderboard wants it: predictions, logs and traces for a public
//! repository, and the small entry for the board; checked before anyone sends it.
//!
//! `evaluation/submission.md` holds the rules that are kept here and why.

mod checklist;
mod entry;
mod logs;
mod metadata;
mod patch;
mod secrets;
mod trajectory;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::artifact::{InstanceId, InstanceOutcome, Prediction};
use crate::evaluate::{RunError, RunReport};
use crate::llm::{Recorded, Secret};
use crate::report::Evidence;
use crate::store::{RunDir, RunRecord, StoreError};

pub use validate::{Level, Problem, validate};

/// One instance of the dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: InstanceId,
    /// Its repository.
    pub repo: String,
    /// When its fix was proposed.
    pub created_at: Option<String>,
}

/// Gives the saved artifacts of an instance.
pub type Load<'a> = dyn Fn(&InstanceId) -> Result<Evidence, StoreError> + 'a;

/// What a package is made of.
pub struct Inputs<'a> {
    /// The run.
    pub run: &'a RunDir,
    /// Its record.
    pub record: &'a RunRecord,
    /// All instances of the dataset, whether the run had them or not.
    pub dataset: &'a [Known],
    /// What is wrong with that list, for the list of problems.
    pub notes: Vec<String>,
    /// Where the grader wrote, and what it said.
    pub grades: Option<(&'a Path, &'a RunReport)>,
    /// A filled `metadata.yaml`.
    pub metadata: Option<&'a str>,
    /// `YYYYMMDD`.
    pub date: String,
    /// Artifacts.
    pub load: &'a Load<'a>,
    /// Texts that must not be in the package.
    pub secrets: &'a [Secret],
    /// Whether gaps for a person may stand.
    pub draft: bool,
}

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Something is there.
    #[error("{path} is not empty; a package goes into a new or an empty directory")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing to hand in.
    #[error("{path} holds no prediction; `agent run` writes one when an instance has a patch")]
    NoPrediction {
        /// The file.
        path: PathBuf,
    },
    /// A key would be published.
    #[error("{path} would be published, and {what}; nothing was written")]
    Secret {
        /// The file, as it would lie in the package.
        path: PathBuf,
        /// Line and kind, never the secret itself.
        what: String,
    },
    /// An artifact cannot be read.
    #[error("the run cannot be read: {0}")]
    Store(#[from] StoreError),
    /// The system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// Verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl PackError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// `provenance.json`: what nothing else in a package says. [`validate`] reads it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Provenance {
    schema: u32,
    agent: String,
    dataset: String,
    dataset_digest: String,
    dataset_ids: Vec<InstanceId>,
    model: String,
    attempts: String,
    sandbox: String,
    prompts: BTreeMap<String, String>,
    settings: serde_json::Value,
    images: BTreeMap<InstanceId, String>,
    /// How the instances of the run ended.
    outcomes: BTreeMap<InstanceId, Option<InstanceOutcome>>,
    /// Predictions without a verdict.
    grading_errors: BTreeMap<InstanceId, RunError>,
    /// Verdicts in whose logs the grader found signs that the infrastructure failed.
    infra_failures: Vec<InstanceId>,
    /// Verdicts in whose logs it found signs that may be such.
    ambiguous_failures: Vec<InstanceId>,
    /// Instances for which prompts and answers were not recorded.
    without_answers: Vec<InstanceId>,
    /// What was wrong when the package was made.
    notes: Vec<String>,
}

const PREDICTIONS: &str = "all_preds.jsonl";
const PROVENANCE: &str = "provenance.json";

/// Writes the package whole or not at all, and says what is wrong with it.
///
/// # Errors
/// [`PackError`]; a package that was written but has faults is no error.
pub fn pack(inputs: &Inputs<'_>, dir: &Path) -> Result<Vec<Problem>, PackError> {
    if dir.exists() {
        let mut entries = fs::read_dir(dir).map_err(PackError::io("read", dir))?;
        if entries.next().is_some() {
            return Err(PackError::NotEmpty { path: dir.to_owned() });
        }
    }
    let predictions = predictions(inputs)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(PackError::io("make", parent))?;
    // The umask takes away what the user does not want; the sibling makes the last step a rename.
    let work = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o777))
        .prefix(".pack")
        .tempdir_in(parent)
        .map_err(PackError::io("write to", parent))?;
    let at = work.path();

    let lines: Vec<String> = predictions.iter().map(|row| format!("{}\n", json(row))).collect();
    write(&at.join(PREDICTIONS), lines.concat().as_bytes())?;
    for prediction in &predictions {
        logs::copy(at, inputs.grades.map(|(dir, _)| dir), prediction)?;
    }
    let seen = traces(inputs, at, &predictions)?;
    entry::write_all(inputs, at, &predictions, &seen.policies)?;
    let provenance = provenance(inputs, &predictions, seen);
    write(&at.join(PROVENANCE), pretty(&provenance).as_bytes())?;
    keep_secrets(inputs, at, dir)?;
    let problems = validate::check(at, inputs.draft)?;
    fs::rename(at, dir).map_err(PackError::io("write", dir))?;
    // What the guard would remove has moved away.
    let _ = work.keep();
    Ok(problems)
}

fn keep_secrets(inputs: &Inputs<'_>, at: &Path, dir: &Path) -> Result<(), PackError> {
    let found = secrets::find(at, inputs.secrets).map_err(PackError::io("read", at))?;
    match found {
        None => Ok(()),
        Some((path, what)) => {
            let path = path.strip_prefix(at).map_or(path.clone(), |inner| dir.join(inner));
            Err(PackError::Secret { path, what })
        }
    }
}

/// The last row of an instance counts, in the run's order.
fn predictions(inputs: &Inputs<'_>) -> Result<Vec<Prediction>, PackError> {
    let mut last: BTreeMap<InstanceId, Prediction> = BTreeMap::new();
    let mut order = inputs.record.instances.clone();
    for row in inputs.run.predictions()? {
        if !order.contains(&row.instance_id) {
            order.push(row.instance_id.clone());
        }
        last.insert(row.instance_id.clone(), row);
    }
    if last.is_empty() {
        return Err(PackError::NoPrediction { path: inputs.run.path().join("predictions.jsonl") });
    }
    Ok(order.iter().filter_map(|id| last.remove(id)).collect())
}

/// What was seen on the way through the instances.
#[derive(Debug, Default)]
struct Seen {
    policies: BTreeSet<String>,
    outcomes: BTreeMap<InstanceId, Option<InstanceOutcome>>,
    images: BTreeMap<InstanceId, String>,
    without_answers: Vec<InstanceId>,
}

/// One instance in memory at a time.
fn traces(inputs: &Inputs<'_>, at: &Path, predictions: &[Prediction]) -> Result<Seen, PackError> {
    let mut seen = Seen::default();
    for id in &inputs.record.instances {
        let evidence = (inputs.load)(id)?;
        seen.outcomes.insert(id.clone(), evidence.outcome.clone());
        if !predictions.iter().any(|row| row.instance_id == *id) && evidence.outcome.is_none() {
            continue;
        }
        let folder = inputs.run.view(id)?;
        let instance = folder.instance()?;
        let recorded = Recorded::read(folder.path())
            .map_err(PackError::io("read the journal in", folder.path()))?;
        if recorded.is_none() {
            seen.without_answers.push(id.clone());
        }
        if let Some(image) = instance.as_ref().and_then(|instance| instance.image.clone()) {
            seen.images.insert(id.clone(), image);
        }
        seen.policies.extend(evidence.ranking.as_ref().map(|ranking| ranking.policy.clone()));
        let path = at.join("trajs").join(format!("{id}.md"));
        let trace = trajectory::Trace {
            id: id.as_str(),
            model: &inputs.record.model,
            instance: instance.as_ref(),
            evidence: &evidence,
            recorded: recorded.as_ref(),
        };
        let failed = || PackError::io("write", &path);
        make_parent(&path)?;
        let mut out = BufWriter::new(fs::File::create(&path).map_err(failed())?);
        trajectory::write(&mut out, &trace).and_then(|()| out.flush()).map_err(failed())?;
    }
    Ok(seen)
}

fn provenance(inputs: &Inputs<'_>, predictions: &[Prediction], seen: Seen) -> Provenance {
    let record = inputs.record;
    let mut notes = inputs.notes.clone();
    let report = inputs.grades.map(|(_, report)| report);
    if report.is_some_and(|report| report.dataset_digest != record.dataset_digest) {
        notes.push("the grades are of another dataset than the run".to_owned());
    }
    let stopped = report.map_or(0, |report| report.cancelled_ids.len());
    if stopped > 0 {
        notes.push(format!("grading was stopped before {stopped} instances"));
    }
    Provenance {
        schema: 1,
        agent: record.version.clone(),
        dataset: record.dataset.clone(),
        dataset_digest: record.dataset_digest.clone(),
        dataset_ids: inputs.dataset.iter().map(|known| known.id.clone()).collect(),
        model: predictions.first().map_or_else(String::new, |row| row.model_name_or_path.clone()),
        attempts: entry::attempts(record).to_owned(),
        sandbox: record.sandbox.clone(),
        prompts: record.prompts.clone(),
        settings: record.settings.clone(),
        images: seen.images,
        outcomes: seen.outcomes,
        grading_errors: report.map(|report| report.errors.clone()).unwrap_or_default(),
        infra_failures: report.map(|report| report.infra_failure_ids.clone()).unwrap_or_default(),
        ambiguous_failures: report
            .map(|report| report.ambiguous_failure_ids.clone())
            .unwrap_or_default(),
        without_answers: seen.without_answers,
        notes,
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), PackError> {
    make_parent(path)?;
    fs::write(path, content).map_err(PackError::io("write", path))
}

fn make_parent(path: &Path) -> Result<(), PackError> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(PackError::io("make", parent)),
        None => Ok(()),
    }
}

/// Values of ours always have a form in JSON.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}
