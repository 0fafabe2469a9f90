//! From a case to its score.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::reward::answer::{self, AnswerError};
use crate::reward::blocks::similarity_within;
use crate::reward::lines::change_text;
use crate::reward::options::Limits;
use crate::reward::text::code_points;
use crate::reward::unidiff::{self, Change, Changes};
use crate::reward::{Case, CaseError, Files, Id, Input, Options, Refusal, Text};

/// Bytes of changes from which on files are compared side by side.
const WORTH_A_THREAD: usize = 1 << 15;

/// What a case got.
///
/// As JSON it has `id`, `reward`, `similarities`, then `error` and `flags` where there are any; a
/// case without reward has `id` and `error` alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The case's name.
    pub id: Option<Id>,
    /// −1, or 0 to 1. `None` when the case could not be scored, which says nothing about the
    /// answer: trainers should mask such a sample, not count it as 0.
    pub reward: Option<f64>,
    /// Why the reward is −1, or why there is none.
    pub error: Option<String>,
    /// Each path that either side changes.
    pub similarities: Vec<Similarity>,
    /// What is notable about the value.
    pub flags: Vec<Flag>,
}

/// How alike the two changes of one path are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Similarity {
    /// The path.
    pub path: Text,
    /// 0 to 1; 0 if only one side changes the path.
    pub similarity: f64,
}

/// What is notable about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// The answer breaks the required form or does not apply: −1.
    Format,
    /// Neither side changes anything: 1.
    NoChange,
    /// A predicted diff could not be parsed, or holds no file; it counts as no change.
    Unparsable,
    /// The same about a true diff: look at the data.
    OracleUnparsable,
    /// Both sides change a path without changing lines (a mode, an empty file): 0 for that path
    /// by the published definition, even if the changes are the same.
    EmptyChange,
    /// [`Options::safe`] made this value differ from the published definition.
    Mended,
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        if let Some(reward) = self.reward {
            map.serialize_entry("reward", &reward)?;
            map.serialize_entry("similarities", &self.similarities)?;
        }
        if let Some(error) = &self.error {
            map.serialize_entry("error", error)?;
        }
        if !self.flags.is_empty() {
            map.serialize_entry("flags", &self.flags)?;
        }
        map.end()
    }
}

impl From<CaseError> for Score {
    fn from(error: CaseError) -> Self {
        Self { id: error.id, error: Some(error.message), ..Self::nothing() }
    }
}

impl From<Refusal> for Score {
    fn from(refusal: Refusal) -> Self {
        Self { error: Some(refusal.to_string()), ..Self::nothing() }
    }
}

impl Score {
    fn nothing() -> Self {
        Self { id: None, reward: None, error: None, similarities: Vec::new(), flags: Vec::new() }
    }

    fn minus_one(error: &impl ToString) -> Self {
        let error = Some(error.to_string());
        Self { reward: Some(-1.0), error, flags: vec![Flag::Format], ..Self::nothing() }
    }

    fn flag(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    fn mend(&mut self, reward: f64) {
        if self.reward != Some(reward) {
            self.reward = Some(reward);
            self.flag(Flag::Mended);
        }
    }
}

/// Scores one case.
#[must_use]
pub fn score(case: &Case, options: &Options) -> Score {
    let scored = match &case.input {
        Input::Output { code_context, oracle_new_content, output } => {
            search_replace_reward(code_context, oracle_new_content, output, options)
        }
        Input::Content { code_context, oracle_new_content, pred_new_content } => {
            content_reward(code_context, oracle_new_content, pred_new_content, options)
        }
        Input::Diffs { oracle_patches, pred_patches } => {
            unidiff_reward(oracle_patches, pred_patches, options)
        }
    };
    Score { id: case.id.clone(), ..scored }
}

/// The reward of a model's answer with SEARCH/REPLACE edits.
#[must_use]
pub fn search_replace_reward(
    code_context: &Files,
    oracle_new_content: &Files,
    output: &Text,
    options: &Options,
) -> Score {
    let limits = Limits::start(options);
    match answer::new_contents(output, code_context, &limits) {
        Ok(files) => contents(code_context, oracle_new_content, &files, &limits),
        Err(AnswerError::Format(error)) => Score::minus_one(&error),
        Err(AnswerError::Refused(refusal)) => refusal.into(),
    }
}

/// The reward of new contents; never negative.
#[must_use]
pub fn content_reward(
    code_context: &Files,
    oracle_new_content: &Files,
    pred_new_content: &Files,
    options: &Options,
) -> Score {
    contents(code_context, oracle_new_content, pred_new_content, &Limits::start(options))
}

fn contents(context: &Files, oracle: &Files, pred: &Files, limits: &Limits) -> Score {
    let changes = changes(context, pred, limits)
        .and_then(|pred| Ok((pred, changes(context, oracle, limits)?)))
        .and_then(|(pred, oracle)| compare(&pred, &oracle, limits));
    changes.unwrap_or_else(Score::from)
}

/// The change of every file that is not as before.
fn changes(context: &Files, new_contents: &Files, limits: &Limits) -> Result<Changes, Refusal> {
    let none = Text::default();
    let mut changes = Changes::new();
    for (path, new) in new_contents {
        let old = context.get(path).unwrap_or(&none);
        let text = change_text(old, new, &mut limits.clock())?;
        if !text.is_empty() {
            changes.insert(path.clone(), Change { text, whole: Text::default() });
        }
    }
    Ok(changes)
}

/// The reward of unified diffs.
///
/// A text that is no diff changes nothing by the published definition, so two of them are alike;
/// with [`Options::safe`] a prediction that cannot be parsed gets 0. So does a prediction against
/// nothing but unparsable true diffs, and changes without any line are compared as printed.
#[must_use]
pub fn unidiff_reward(oracle_patches: &[Text], pred_patches: &[Text], options: &Options) -> Score {
    let limits = Limits::start(options);
    let clock = &mut limits.clock();
    let both = unidiff::parse_all(pred_patches, clock)
        .and_then(|pred| Ok((pred, unidiff::parse_all(oracle_patches, clock)?)))
        .and_then(|(pred, oracle)| {
            Ok((compare(&pred.changes, &oracle.changes, &limits)?, pred, oracle))
        });
    let (mut score, pred, oracle) = match both {
        Ok(both) => both,
        Err(refusal) => return refusal.into(),
    };
    if pred.unparsable {
        score.flag(Flag::Unparsable);
    }
    if oracle.unparsable {
        score.flag(Flag::OracleUnparsable);
    }
    let mut mended = score.similarities.clone();
    for entry in &mut mended {
        if let (Some(pred), Some(oracle)) =
            (pred.changes.get(&entry.path), oracle.changes.get(&entry.path))
            && pred.text.is_empty()
            && oracle.text.is_empty()
        {
            score.flag(Flag::EmptyChange);
            entry.similarity = if pred.whole == oracle.whole { 1.0 } else { 0.0 };
        }
    }
    if !options.safe {
        return score;
    }
    if mended != score.similarities {
        score.similarities = mended;
        let reward = mean(&score.similarities);
        score.mend(reward);
    }
    let without_change = pred.changes.is_empty() && oracle.changes.is_empty();
    let is_unlike = || (pred.skipped || oracle.skipped) && pred_patches != oracle_patches;
    if pred.unparsable || without_change && (oracle.unparsable || is_unlike()) {
        score.mend(0.0);
    }
    score
}

/// The mean likeness over all paths that either side changes.
fn compare(pred: &Changes, oracle: &Changes, limits: &Limits) -> Result<Score, Refusal> {
    let paths: Vec<&Text> =
        pred.keys().chain(oracle.keys()).collect::<BTreeSet<_>>().into_iter().collect();
    let one = |path: &Text| match (pred.get(path), oracle.get(path)) {
        (Some(pred), Some(oracle)) => likeness(path, &pred.text, &oracle.text, limits),
        _ => Ok(0.0),
    };
    let size = |changes: &Changes| {
        changes.values().map(|change| change.text.as_bytes().len()).sum::<usize>()
    };
    let threads = if size(pred).min(size(oracle)) < WORTH_A_THREAD { 1 } else { limits.threads };
    let similarities = in_parallel(&paths, threads, one)?;
    let similarities: Vec<_> = paths
        .into_iter()
        .zip(similarities)
        .map(|(path, similarity)| Similarity { path: path.clone(), similarity })
        .collect();
    let reward = Some(mean(&similarities));
    let flags = if similarities.is_empty() { vec![Flag::NoChange] } else { Vec::new() };
    Ok(Score { reward, similarities, flags, ..Score::nothing() })
}

/// Applies `one` to each path, in order or side by side; the first refusal in order counts.
fn in_parallel(
    paths: &[&Text],
    threads: usize,
    one: impl Fn(&Text) -> Result<f64, Refusal> + Sync,
) -> Result<Vec<f64>, Refusal> {
    let threads = threads.min(paths.len());
    if threads <= 1 {
        return paths.iter().map(|path| one(path)).collect();
    }
    let slots: Vec<OnceLock<_>> = paths.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((path, slot)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            paths.get(index).zip(slots.get(index))
        } {
            // Each slot is taken once.
            let _ = slot.set(one(path));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
    slots.into_iter().map(|slot| slot.into_inner().unwrap_or(Ok(0.0))).collect()
}

/// 1 if there is no path.
fn mean(similarities: &[Similarity]) -> f64 {
    if similarities.is_empty() {
        return 1.0;
    }
    let sum: f64 = similarities.iter().map(|entry| entry.similarity).sum();
    #[expect(clippy::cast_precision_loss, reason = "paths are few")]
    let count = similarities.len() as f64;
    sum / count
}

fn likeness(path: &Text, pred: &Text, oracle: &Text, limits: &Limits) -> Result<f64, Refusal> {
    if pred.is_empty() || oracle.is_empty() {
        return Ok(0.0);
    }
    if pred == oracle {
        return Ok(1.0);
    }
    let points = code_points(pred.as_bytes()).count() + code_points(oracle.as_bytes()).count();
    if points > limits.max_change {
        let path = path.to_string();
        return Err(Refusal::TooLong { path, points, limit: limits.max_change });
    }
    similarity_within(pred, oracle, &mut limits.clock())
}
