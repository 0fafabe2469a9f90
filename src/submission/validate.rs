//! What is wrong with a package, from its files alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::artifact::{InstanceId, InstanceOutcome};
use crate::evaluate::ErrorKind;
use crate::llm::Secret;
use crate::submission::entry::Results;
use crate::submission::{PREDICTIONS, PROVENANCE, PackError, Provenance, metadata, patch, secrets};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The package must not be sent so.
    Error,
    /// A person should know.
    Note,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How bad.
    pub level: Level,
    /// File of the package, relative to it.
    pub file: String,
    /// What is wrong and the way out.
    pub message: String,
}

/// Ids named before the rest is only counted.
const LISTED: usize = 8;

const NO_TRACE: &str = "predictions have no trace";

/// Checks a package that is there. With `draft` the gaps for a person are notes.
///
/// # Errors
/// When its files cannot be read; what is wrong in them is in the list.
pub fn validate(dir: &Path, secrets: &[Secret], draft: bool) -> Result<Vec<Problem>, PackError> {
    let mut problems = check(dir, draft)?;
    let found = secrets::find(dir, secrets).map_err(PackError::io("read", dir))?;
    if let Some((path, what)) = found {
        let file = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        problems.insert(0, Problem { level: Level::Error, file, message: what });
    }
    Ok(problems)
}

/// Everything but secrets.
pub(super) fn check(dir: &Path, draft: bool) -> Result<Vec<Problem>, PackError> {
    let mut check = Check { dir, problems: Vec::new() };
    let predictions = check.predictions()?;
    let provenance: Option<Provenance> = check.json(PROVENANCE);
    let mut resolved = BTreeSet::new();
    check.logs(&predictions, provenance.as_ref(), &mut resolved)?;
    if let Some(provenance) = &provenance {
        check.run(&predictions, provenance);
    }
    check.entry(provenance.as_ref(), &resolved, draft)?;
    check.problems.sort_by_key(|problem| problem.level);
    Ok(check.problems)
}

struct Check<'a> {
    dir: &'a Path,
    problems: Vec<Problem>,
}

/// Patches by instance.
type Patches = BTreeMap<InstanceId, String>;

impl Check<'_> {
    fn say(&mut self, level: Level, file: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem { level, file: file.into(), message: message.into() });
    }

    /// One problem for many instances; none for none.
    fn list<'i>(
        &mut self,
        level: Level,
        file: &str,
        ids: impl IntoIterator<Item = &'i InstanceId>,
        what: &str,
    ) {
        let ids: Vec<&str> = ids.into_iter().map(InstanceId::as_str).collect();
        if ids.is_empty() {
            return;
        }
        let more = match ids.len().saturating_sub(LISTED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let shown = ids[..ids.len().min(LISTED)].join(", ");
        self.say(level, file, format!("{what} ({}): {shown}{more}", ids.len()));
    }

    fn text(&mut self, file: &str) -> Option<String> {
        match fs::read_to_string(self.dir.join(file)) {
            Ok(text) => Some(text),
            Err(error) => {
                self.say(Level::Error, file, format!("cannot be read: {error}"));
                None
            }
        }
    }

    fn json<T: DeserializeOwned>(&mut self, file: &str) -> Option<T> {
        let text = self.text(file)?;
        match serde_json::from_str(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.say(Level::Error, file, format!("has not the expected shape: {error}"));
                None
            }
        }
    }

    fn predictions(&mut self) -> Result<Patches, PackError> {
        let path = self.dir.join(PREDICTIONS);
        let text = fs::read_to_string(&path).map_err(PackError::io("read", &path))?;
        let mut rows = Patches::new();
        let mut models = BTreeSet::new();
        let (mut twice, mut empty) = (BTreeSet::new(), BTreeSet::new());
        for (number, line) in text.lines().enumerate() {
            let at = format!("line {}", number + 1);
            let row: Value = match serde_json::from_str(line) {
                Ok(row) => row,
                Err(error) => {
                    self.say(Level::Error, PREDICTIONS, format!("{at} is no JSON: {error}"));
                    continue;
                }
            };
            let field = |name: &str| row.get(name).and_then(Value::as_str);
            let id = field("instance_id").and_then(|id| InstanceId::new(id).ok());
            let (Some(id), Some(model)) = (id, field("model_name_or_path")) else {
                let message = format!("{at} lacks a usable instance_id or model_name_or_path");
                self.say(Level::Error, PREDICTIONS, message);
                continue;
            };
            models.insert(model.to_owned());
            let patch = field("model_patch").unwrap_or_default();
            if patch.trim().is_empty() {
                empty.insert(id.clone());
            } else {
                for fault in patch::faults(patch) {
                    self.say(Level::Error, PREDICTIONS, format!("the patch of {id} {fault}"));
                }
            }
            if rows.insert(id.clone(), patch.to_owned()).is_some() {
                twice.insert(id);
            }
        }
        self.list(Level::Error, PREDICTIONS, &twice, "instances have more than one prediction");
        self.list(Level::Note, PREDICTIONS, &empty, "patches are empty and count as failed");
        if models.len() > 1 {
            let models: Vec<String> = models.into_iter().collect();
            let message = format!("more than one model name: {}", models.join(", "));
            self.say(Level::Error, PREDICTIONS, message);
        }
        Ok(rows)
    }

    /// Logs and traces of each prediction; fills `resolved`.
    fn logs(
        &mut self,
        predictions: &Patches,
        provenance: Option<&Provenance>,
        resolved: &mut BTreeSet<InstanceId>,
    ) -> Result<(), PackError> {
        let errors = provenance.map(|provenance| &provenance.grading_errors);
        let among = |ids: Option<&Vec<InstanceId>>, id| ids.is_some_and(|ids| ids.contains(id));
        let mut found: BTreeMap<(Level, &str), Vec<&InstanceId>> = BTreeMap::new();
        for (id, patch) in predictions {
            let mut note = |level, what| found.entry((level, what)).or_default().push(id);
            let trace = self.dir.join("trajs").join(format!("{id}.md"));
            if fs::metadata(&trace).map_or(0, |data| data.len()) == 0 {
                note(Level::Error, NO_TRACE);
            }
            if patch.trim().is_empty() {
                continue;
            }
            let folder = self.dir.join("logs").join(id.as_str());
            match fs::read(folder.join("patch.diff")) {
                Ok(graded) if graded == patch.as_bytes() => {}
                Ok(_) => note(
                    Level::Error,
                    "predictions were graded with another patch; grade them again",
                ),
                Err(_) => note(Level::Error, "predictions have no patch.diff"),
            }
            match errors.and_then(|errors| errors.get(id)).map(|error| error.kind) {
                Some(ErrorKind::PatchNotApplied | ErrorKind::OutputLimit) => {
                    note(
                        Level::Note,
                        "patches could not be applied or graded, and count as failed",
                    );
                }
                Some(_) => note(
                    Level::Error,
                    "predictions got no verdict because of the infrastructure; grade them again",
                ),
                None => match grade(&folder.join("report.json"), id) {
                    None => note(
                        Level::Error,
                        "predictions have no grade (report.json); run `agent evaluate` and give \
                         its directory with --grades",
                    ),
                    Some((false, infra))
                        if infra || among(provenance.map(|p| &p.infra_failures), id) =>
                    {
                        note(
                            Level::Error,
                            "logs show that the infrastructure failed; grade them again",
                        );
                    }
                    Some((false, _)) => {
                        if among(provenance.map(|p| &p.ambiguous_failures), id) {
                            let what = "failures may be the infrastructure's; look at their logs";
                            note(Level::Note, what);
                        }
                    }
                    Some((true, _)) => {
                        resolved.insert(id.clone());
                    }
                },
            }
            let graded = errors.is_none_or(|errors| !errors.contains_key(id));
            match unpacks(&folder.join("test_output.txt.gz")) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if graded {
                        note(Level::Error, "predictions have no log (test_output.txt.gz)");
                    }
                }
                Err(_) => note(Level::Error, "logs are no gzip files or are cut"),
            }
        }
        for ((level, what), ids) in found {
            let file = if what == NO_TRACE { "trajs" } else { "logs" };
            self.list(level, file, ids, what);
        }
        self.strangers(predictions)
    }

    /// Logs that nobody asked for.
    fn strangers(&mut self, predictions: &Patches) -> Result<(), PackError> {
        let folder = self.dir.join("logs");
        let mut others = Vec::new();
        if folder.exists() {
            for entry in fs::read_dir(&folder).map_err(PackError::io("read", &folder))? {
                let entry = entry.map_err(PackError::io("read", &folder))?;
                let name = entry.file_name().to_string_lossy().into_owned();
                others
                    .extend(InstanceId::new(name).ok().filter(|id| !predictions.contains_key(id)));
            }
        }
        others.sort();
        self.list(Level::Error, "logs", &others, "folders belong to no prediction");
        Ok(())
    }

    /// What the run said of itself.
    fn run(&mut self, predictions: &Patches, provenance: &Provenance) {
        for note in &provenance.notes {
            self.say(Level::Error, PROVENANCE, note.clone());
        }
        let known: BTreeSet<&InstanceId> = provenance.dataset_ids.iter().collect();
        let unknown = predictions.keys().filter(|id| !known.contains(id));
        let unknown: Vec<&InstanceId> = unknown.collect();
        self.list(
            Level::Error,
            PREDICTIONS,
            unknown,
            "predictions are of no instance of the dataset",
        );
        let (mut none, mut infra, mut failed, mut unfinished, mut never) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for id in known {
            if predictions.contains_key(id) {
                continue;
            }
            match provenance.outcomes.get(id) {
                Some(Some(InstanceOutcome::NoCandidate | InstanceOutcome::Solved)) => none.push(id),
                Some(Some(InstanceOutcome::Failed { cause, .. })) => {
                    if *cause == crate::artifact::Cause::Infra {
                        infra.push(id);
                    } else {
                        failed.push(id);
                    }
                }
                Some(_) => unfinished.push(id),
                None => never.push(id),
            }
        }
        for (level, ids, what) in [
            (Level::Note, none, "instances have no prediction, as no sample gave a patch"),
            (Level::Error, infra, "instances failed because of the infrastructure; run them again"),
            (Level::Error, failed, "instances failed because of model or budget; run them again"),
            (Level::Error, unfinished, "instances are not finished; run them to their end"),
            (Level::Error, never, "instances of the dataset were not part of the run"),
        ] {
            self.list(level, PREDICTIONS, ids, what);
        }
        let what = "traces lack prompts and answers: the run has no journal of them";
        self.list(Level::Error, "trajs", &provenance.without_answers, what);
    }

    fn entry(
        &mut self,
        provenance: Option<&Provenance>,
        resolved: &BTreeSet<InstanceId>,
        draft: bool,
    ) -> Result<(), PackError> {
        let Some(folder) = self.folder()? else { return Ok(()) };
        let gap = if draft { Level::Note } else { Level::Error };
        let file = format!("{folder}/metadata.yaml");
        if let Some(text) = self.text(&file) {
            let attempts = provenance.map(|provenance| provenance.attempts.as_str());
            for problem in metadata::check(&text, attempts) {
                self.say(Level::Error, file.clone(), problem);
            }
            for line in metadata::gaps(&text) {
                self.say(gap, file.clone(), format!("line {line} still says TODO"));
            }
        }
        let file = format!("{folder}/README.md");
        if let Some(text) = self.text(&file) {
            for (number, line) in text.lines().enumerate() {
                if line.contains("TODO") {
                    self.say(gap, file.clone(), format!("line {} still says TODO", number + 1));
                }
                if let Some(what) = line.trim_start().strip_prefix("- [ ] ") {
                    self.say(
                        Level::Error,
                        file.clone(),
                        format!("the run does not bear out: {what}"),
                    );
                }
            }
            if !text.contains("- [x] ") && !text.contains("- [ ] ") {
                self.say(Level::Error, file, "holds no checklist");
            }
        }
        let file = format!("{folder}/results/results.json");
        if let Some(results) = self.json::<Results>(&file) {
            let said: BTreeSet<InstanceId> = results.resolved.into_iter().collect();
            let more = said.difference(resolved);
            self.list(
                Level::Error,
                &file,
                more,
                "are called resolved, but their logs do not say so",
            );
            let less = resolved.difference(&said);
            self.list(Level::Error, &file, less, "are resolved by their logs, but not listed");
        }
        for name in ["resolved_by_repo", "resolved_by_time"] {
            let file = format!("{folder}/results/{name}.json");
            if let Some(table) = self.json::<BTreeMap<String, Value>>(&file)
                && table.is_empty()
            {
                let why = "is empty: the dataset's rows do not say it (created_at)";
                self.say(Level::Note, file, why);
            }
        }
        Ok(())
    }

    /// The entry's folder, relative to the package.
    fn folder(&mut self) -> Result<Option<String>, PackError> {
        let top = self.dir.join("evaluation");
        let mut found = Vec::new();
        for split in folders(&top)? {
            found.extend(folders(&split)?);
        }
        if let [one] = found.as_slice() {
            let inner = one.strip_prefix(self.dir).unwrap_or(one);
            return Ok(Some(inner.display().to_string()));
        }
        let message = format!("expected one folder <split>/<date>_<model>, found {}", found.len());
        self.say(Level::Error, "evaluation", message);
        Ok(None)
    }
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>, PackError> {
    let mut found = Vec::new();
    if !dir.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(dir).map_err(PackError::io("read", dir))? {
        let path = entry.map_err(PackError::io("read", dir))?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether the report of an instance says `resolved`, and whether it says that the infrastructure
/// failed.
fn grade(path: &Path, id: &InstanceId) -> Option<(bool, bool)> {
    let text = fs::read(path).ok()?;
    let report: Value = serde_json::from_slice(&text).ok()?;
    let report = report.get(id.as_str())?;
    let infra = report.get("infra_failure").and_then(Value::as_bool).unwrap_or(false);
    Some((report.get("resolved")?.as_bool()?, infra))
}

fn unpacks(path: &Path) -> io::Result<()> {
    let file = io::BufReader::new(fs::File::open(path)?);
    io::copy(&mut GzDecoder::new(file), &mut io::sink()).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PATCH: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

    /// A package with a prediction of each of these instances, whose reports say `resolved`.
    fn package(instances: &[(&str, bool)], provenance: &Value) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, content: &[u8]| {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        };
        let mut lines = String::new();
        for (id, resolved) in instances {
            let row = json!({"instance_id": id, "model_name_or_path": "m", "model_patch": PATCH});
            lines += &row.to_string();
            lines.push('\n');
            write(&format!("trajs/{id}.md"), b"a trace");
            write(&format!("logs/{id}/patch.diff"), PATCH.as_bytes());
            let report = json!({*id: {"resolved": resolved}});
            write(&format!("logs/{id}/report.json"), report.to_string().as_bytes());
            write(&format!("logs/{id}/test_output.txt.gz"), b"cut");
        }
        write(PREDICTIONS, lines.as_bytes());
        let mut all = json!({
            "schema": 1, "agent": "", "dataset": "", "dataset_digest": "", "dataset_ids": [],
            "model": "m", "attempts": "1", "sandbox": "", "prompts": {}, "settings": {},
            "images": {}, "outcomes": {}, "grading_errors": {}, "infra_failures": [],
            "ambiguous_failures": [], "without_answers": [], "notes": [],
        });
        for (key, value) in provenance.as_object().unwrap() {
            all[key] = value.clone();
        }
        write(PROVENANCE, all.to_string().as_bytes());
        dir
    }

    fn messages(problems: &[Problem]) -> Vec<String> {
        problems.iter().map(|p| format!("{:?} {}: {}", p.level, p.file, p.message)).collect()
    }

    #[test]
    fn failures_of_the_infrastructure_are_told_from_failures_of_patches() {
        let dir = package(
            &[("r-1", true), ("u-1", false), ("u-2", false), ("u-3", false), ("e-1", false)],
            &json!({
                "infra_failures": ["r-1", "u-1"], "ambiguous_failures": ["u-2"],
                "grading_errors": {"e-1": {"kind": "infra", "message": "no disk"}},
            }),
        );
        let found = messages(&check(dir.path(), true).unwrap());
        for expected in [
            "Error logs: logs show that the infrastructure failed; grade them again (1): u-1",
            "Note logs: failures may be the infrastructure's; look at their logs (1): u-2",
            "Error logs: predictions got no verdict because of the infrastructure; grade them \
             again (1): e-1",
            "Error logs: logs are no gzip files or are cut (5): e-1, r-1, u-1, u-2, u-3",
        ] {
            assert!(found.iter().any(|message| message == expected), "{expected}\n{found:#?}");
        }
    }

    #[test]
    fn instances_without_a_prediction_are_sorted_by_why() {
        let failed = |cause: &str| json!({"status": "failed", "stage": "repair", "cause": cause, "message": "m"});
        let ids: Vec<String> = (0..12).map(|n| format!("never-{n:02}")).collect();
        let mut all = vec!["none-1", "infra-1", "budget-1", "half-1", "stopped-1"];
        all.extend(ids.iter().map(String::as_str));
        let dir = package(
            &[("other-1", true)],
            &json!({"dataset_ids": all, "outcomes": {
                "none-1": {"status": "no_candidate"}, "infra-1": failed("infra"),
                "budget-1": failed("budget"), "half-1": null,
                "stopped-1": {"status": "cancelled"},
            }}),
        );
        let found = messages(&check(dir.path(), true).unwrap());
        for expected in [
            "Note all_preds.jsonl: instances have no prediction, as no sample gave a patch (1): \
             none-1",
            "Error all_preds.jsonl: instances failed because of the infrastructure; run them \
             again (1): infra-1",
            "Error all_preds.jsonl: instances failed because of model or budget; run them again \
             (1): budget-1",
            "Error all_preds.jsonl: instances are not finished; run them to their end (2): \
             half-1, stopped-1",
            "Error all_preds.jsonl: instances of the dataset were not part of the run (12): \
             never-00, never-01, never-02, never-03, never-04, never-05, never-06, never-07 and 4 \
             more",
            "Error all_preds.jsonl: predictions are of no instance of the dataset (1): other-1",
            "Error evaluation: expected one folder <split>/<date>_<model>, found 0",
        ] {
            assert!(found.iter().any(|message| message == expected), "{expected}\n{found:#?}");
        }
    }
}
