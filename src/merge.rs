//! Run directories joined into a new one: shards of one run, or a run continued elsewhere.
//!
//! Files are copied and never linked: a run's journal, tests and executions are appended to in
//! place, so a link would let work in the joined run change the run it came from. Everything is
//! written to a hidden sibling directory that takes the wanted name at the end: a process that is
//! killed leaves no half run under that name. Of grades the verdict on each instance is taken along if
//! it is about the patch that counts; the report over all is left to `agent evaluate`, which finds the
//! verdicts and runs only what has none.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::artifact::{InstanceId, InstanceOutcome, Prediction, Stage};
use crate::compare::{self, SettingDiff};
use crate::llm::join_journals;
use crate::scratch;
use crate::store::{InstanceDir, RunDir, RunRecord, StoreError};

/// A run to join.
#[derive(Debug)]
pub struct Input {
    /// What people call it: its path as typed.
    pub name: String,
    /// Where it lies.
    pub run: RunDir,
    /// Its `run.json`.
    pub record: RunRecord,
}

/// What to do where runs disagree.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Of an instance finished differently: whether the last run named wins; none refuses.
    pub prefer_last: Option<bool>,
    /// Whether settings that decide results may differ.
    pub allow_different: bool,
    /// The dataset's order, where it is known; other instances follow in the runs' order.
    pub order: Vec<InstanceId>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// Each instance and the run that its artifacts come from.
    pub taken: Vec<(InstanceId, String)>,
    /// Differences that were let through.
    pub different: Vec<String>,
    /// Verdicts that were taken along, in each folder of grades.
    pub verdicts: BTreeMap<String, usize>,
}

/// Why runs cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file of a run.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is something already.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// Writing there would change a run that is read.
    #[error("{out} lies inside {run}, and a run that is joined is never changed")]
    Inside {
        /// The directory wanted.
        out: PathBuf,
        /// The run around it.
        run: String,
    },
    /// Results of two kinds under one name.
    #[error("settings that decide results differ:\n  {}", .0.join("\n  "))]
    Different(Vec<String>),
    /// Two results of one instance.
    #[error("{a} and {b} both finished {id}, with different results ({note})")]
    Conflict {
        /// The instance.
        id: InstanceId,
        /// One run.
        a: String,
        /// The other.
        b: String,
        /// Where they part.
        note: String,
    },
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> MergeError + 'a {
    move |source| StoreError::Io { action, path: path.to_owned(), source }.into()
}

/// Joins `inputs` into `out`, which is new or empty.
///
/// # Errors
/// [`MergeError`]; `out` is then as it was.
pub fn merge(inputs: &[Input], options: &Options, out: &Path) -> Result<Merged, MergeError> {
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    check_place(inputs, out, parent)?;
    let different = differences(inputs);
    if !different.is_empty() && !options.allow_different {
        return Err(MergeError::Different(different));
    }
    let ids = ordered(inputs, &options.order);
    let _locks = lock(inputs, &ids)?;

    fs::create_dir_all(parent).map_err(failed("make the directory", parent))?;
    let building =
        scratch::Dir::below(parent, ".merging-").map_err(failed("make a directory in", parent))?;
    let run = RunDir::create(building.path())?;
    let (mut taken, mut predictions) = (Vec::new(), Vec::new());
    let rows = inputs.iter().map(|input| input.run.predictions());
    let rows = rows.collect::<Result<Vec<_>, StoreError>>()?;
    let folders = grade_folders(inputs)?;
    let mut verdicts = BTreeMap::new();
    for id in &ids {
        let place = choose(inputs, id, options.prefer_last)?;
        let from = &inputs[place];
        let target = building.path().join(id.as_str());
        copy(&from.run.path().join(id.as_str()), &target)?;
        let own: Vec<_> = inputs.iter().map(|input| input.run.path().join(id.as_str())).collect();
        join_journals(own.iter().map(PathBuf::as_path), &target)
            .map_err(failed("join the journals in", &target))?;
        let row = prediction(from, &rows[place], id)?;
        for folder in &folders {
            let Some(row) = &row else { break };
            if take_verdict(inputs, place, folder, row, building.path())? {
                *verdicts.entry(folder.clone()).or_insert(0) += 1;
            }
        }
        predictions.extend(row);
        taken.push((id.clone(), from.name.clone()));
    }
    run.save_predictions(&predictions)?;
    join_events(inputs, &run.events_path())?;
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let mut origin = json!({"merged": names});
    if !different.is_empty() {
        origin["different"] = json!(different);
    }
    let mut record = inputs[0].record.clone();
    record.images = run.images(&ids)?;
    record.instances = ids;
    record.origin = Some(origin);
    record.shards = inputs.iter().flat_map(|input| input.record.shards.clone()).collect();
    run.save_record(&record)?;

    make_readable(building.path())?;
    // An empty directory gives way to a rename.
    fs::rename(building.path(), out).map_err(failed("write", out))?;
    let _ = building.keep();
    Ok(Merged { taken, different, verdicts })
}

/// Temporary directories are private; a run is for everybody who may see the place it lies in.
fn make_readable(path: &Path) -> Result<(), MergeError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(failed("write", path))?;
    }
    Ok(())
}

fn check_place(inputs: &[Input], out: &Path, parent: &Path) -> Result<(), MergeError> {
    let taken = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed("read", out)(error)),
    };
    if taken {
        return Err(MergeError::NotEmpty(out.to_owned()));
    }
    // The nearest directory that exists says where `out` will lie.
    let around = parent.ancestors().find_map(|path| {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        path.canonicalize().ok()
    });
    for input in inputs {
        if let (Some(around), Ok(run)) = (&around, input.run.path().canonicalize())
            && around.starts_with(&run)
        {
            return Err(MergeError::Inside { out: out.to_owned(), run: input.name.clone() });
        }
    }
    Ok(())
}

/// Settings that decide results and do not have the first run's value, in words.
fn differences(inputs: &[Input]) -> Vec<String> {
    let first = &inputs[0];
    let mut all = Vec::new();
    for other in &inputs[1..] {
        let no_digest =
            first.record.dataset_digest.is_empty() && other.record.dataset_digest.is_empty();
        // Without a digest the name is all that is known of the instances' source.
        let counts = |diff: &SettingDiff| {
            compare::decides(&diff.key) || (diff.key == "dataset" && no_digest)
        };
        for diff in compare::settings(&first.record, &other.record).into_iter().filter(counts) {
            let shown = |value: &Option<Value>| {
                value.as_ref().map_or_else(|| "not set".to_owned(), ToString::to_string)
            };
            all.push(format!(
                "{}: {} in {}, {} in {}",
                diff.key,
                shown(&diff.a),
                first.name,
                shown(&diff.b),
                other.name
            ));
        }
    }
    all
}

fn ordered(inputs: &[Input], order: &[InstanceId]) -> Vec<InstanceId> {
    let named: Vec<&InstanceId> = inputs.iter().flat_map(|i| &i.record.instances).collect();
    let known: HashSet<&InstanceId> = named.iter().copied().collect();
    let mut seen = HashSet::new();
    order
        .iter()
        .filter(|id| known.contains(id))
        .chain(named)
        .filter(|id| seen.insert((*id).clone()))
        .cloned()
        .collect()
}

/// Holds every instance of every run, so that none is copied while it changes.
fn lock(inputs: &[Input], ids: &[InstanceId]) -> Result<Vec<File>, MergeError> {
    let mut locks: Vec<File> = Vec::new();
    let mut seen = HashSet::new();
    for input in inputs {
        for id in ids {
            let path = input.run.path().join(id.as_str()).join(".lock");
            // A run that is named twice has its locks once.
            let Ok(file) = File::open(&path) else { continue };
            if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                continue;
            }
            if file.try_lock().is_err() {
                return Err(StoreError::Locked { path }.into());
            }
            locks.push(file);
        }
    }
    Ok(locks)
}

/// How far the work on an instance has come; more is further.
fn progress(dir: &InstanceDir) -> Result<(bool, usize, usize), StoreError> {
    let ended =
        matches!(dir.outcome()?, Some(InstanceOutcome::Solved | InstanceOutcome::NoCandidate));
    let stages =
        Stage::ALL.iter().filter(|&&s| dir.stage(s).is_some_and(|record| record.finished)).count();
    let ranked = dir.ranking()?.is_some();
    Ok((ended && ranked, stages, dir.tests()?.len() + dir.executions()?.len()))
}

/// Index of the run whose artifacts count for an instance.
fn choose(
    inputs: &[Input],
    id: &InstanceId,
    prefer_last: Option<bool>,
) -> Result<usize, MergeError> {
    let mut best: Option<(usize, (bool, usize, usize))> = None;
    for (place, input) in inputs.iter().enumerate() {
        let dir = input.run.view(id)?;
        let new = progress(&dir)?;
        let Some((before, old)) = best else {
            best = Some((place, new));
            continue;
        };
        if old.0 && new.0 {
            let (a, b) =
                (compare::evidence(&inputs[before].run.view(id)?)?, compare::evidence(&dir)?);
            let parts = compare::stages(&a, &b);
            if let Some(first) = parts.first() {
                match prefer_last {
                    Some(true) => best = Some((place, new)),
                    Some(false) => {}
                    None => {
                        return Err(MergeError::Conflict {
                            id: id.clone(),
                            a: inputs[before].name.clone(),
                            b: input.name.clone(),
                            note: format!("{}: {}", first.stage, first.note),
                        });
                    }
                }
            }
        } else if new > old {
            best = Some((place, new));
        }
    }
    Ok(best.map_or(0, |(place, _)| place))
}

/// Copies a directory without locks and what a killed process was writing. One that does not exist
/// leaves nothing.
fn copy(from: &Path, to: &Path) -> Result<(), MergeError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("read", from)(error)),
    };
    fs::create_dir_all(to).map_err(failed("make the directory", to))?;
    for entry in entries {
        let entry = entry.map_err(failed("read", from))?;
        let (path, name) = (entry.path(), entry.file_name());
        if name == ".lock" || name.to_string_lossy().starts_with(".tmp-") {
            continue;
        }
        let target = to.join(&name);
        if path.is_dir() {
            copy(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(failed("copy", &path))?;
        }
    }
    Ok(())
}

/// Folders in which `agent evaluate` left verdicts beside a run's predictions: one for each set of
/// rules.
fn grade_folders(inputs: &[Input]) -> Result<Vec<String>, MergeError> {
    let mut names = HashSet::new();
    for input in inputs {
        let path = input.run.path();
        for entry in fs::read_dir(path).map_err(failed("read", path))? {
            let name = entry.map_err(failed("read", path))?.file_name();
            let name = name.to_string_lossy().into_owned();
            if name == "graded" || name.starts_with("graded-") {
                names.insert(name);
            }
        }
    }
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    Ok(names)
}

/// Copies the verdict on this very prediction, that of the run which it comes from before others'.
/// Whether there is one.
fn take_verdict(
    inputs: &[Input],
    place: usize,
    folder: &str,
    row: &Prediction,
    out: &Path,
) -> Result<bool, MergeError> {
    let others = (0..inputs.len()).filter(|other| *other != place);
    for input in std::iter::once(place).chain(others).map(|index| &inputs[index]) {
        let from = input.run.path().join(folder).join(row.instance_id.as_str());
        let is_its_own = fs::read(from.join("patch.diff"))
            .is_ok_and(|patch| patch == row.model_patch.as_bytes());
        if is_its_own && from.join("evaluation.json").exists() {
            copy(&from, &out.join(folder).join(row.instance_id.as_str()))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whole lines of a file; one that is torn is left out.
fn whole_lines(path: &Path) -> Result<Vec<Vec<u8>>, MergeError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", path)(error)),
    };
    let whole = |line: &&[u8]| {
        let ended = line.ends_with(b"\n");
        !line.trim_ascii().is_empty()
            && (ended || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok())
    };
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').filter(whole);
    Ok(lines.map(|line| line.strip_suffix(b"\n").unwrap_or(line).to_vec()).collect())
}

fn write_lines(path: &Path, lines: &[Vec<u8>]) -> Result<(), MergeError> {
    let write = || {
        let mut file = io::BufWriter::new(File::create(path)?);
        for line in lines {
            file.write_all(line)?;
            file.write_all(b"\n")?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    };
    write().map_err(failed("write", path))
}

#[derive(Deserialize)]
struct Stamp {
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
}

/// All events by time; a line without one stays behind the line before it. What a run continued
/// elsewhere shares with its origin comes once.
fn join_events(inputs: &[Input], out: &Path) -> Result<(), MergeError> {
    let (mut seen, mut events) = (HashSet::new(), Vec::new());
    for input in inputs {
        let mut last = OffsetDateTime::UNIX_EPOCH;
        for line in whole_lines(&input.run.events_path())? {
            if let Ok(stamp) = serde_json::from_slice::<Stamp>(&line) {
                last = stamp.at;
            }
            if seen.insert(line.clone()) {
                events.push((last, line));
            }
        }
    }
    events.sort_by_key(|(at, _)| *at);
    let lines: Vec<Vec<u8>> = events.into_iter().map(|(_, line)| line).collect();
    write_lines(out, &lines)
}

/// The prediction of an instance under the name that its run gave it; `rows` are the run's.
fn prediction(
    from: &Input,
    rows: &[Prediction],
    id: &InstanceId,
) -> Result<Option<Prediction>, StoreError> {
    if let Some(row) = rows.iter().rfind(|row| row.instance_id == *id) {
        return Ok(Some(row.clone()));
    }
    // Killed between the outcome and the row.
    let name = rows.first().map(|row| row.model_name_or_path.clone());
    Ok(from.run.view(id)?.patch()?.map(|model_patch| Prediction {
        instance_id: id.clone(),
        model_name_or_path: name.unwrap_or_else(|| format!("agent+{}", from.record.model)),
        model_patch,
    }))
}
