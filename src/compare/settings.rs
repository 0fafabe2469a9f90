//! Which settings two runs do not share, and which of them decide results.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::store::RunRecord;

/// One key with two values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingDiff {
    /// A setting, or `model`, `dataset`, `dataset_digest`, `prompts.NAME`, `version`,
    /// `revision`, `sandbox`.
    pub key: String,
    /// A's value.
    pub a: Option<Value>,
    /// B's value.
    pub b: Option<Value>,
}

/// Keys (or beginnings of keys, with a dot at the end) that cannot change a result.
const INDIFFERENT: &[&str] = &[
    // How much at the same time, and under which name results are written.
    "run.jobs",
    "run.sessions",
    "run.deadline",
    "run.name",
    // Where things lie. What lies there counts by the dataset's, the prompts' and the commit's
    // digests.
    "dataset",
    "prompts.dir",
    "repos.",
    "index.",
    // `auto` may have become either; what was taken stands under `sandbox`.
    "run.sandbox",
    "sandbox.docker_hosts",
    // How the endpoint is reached; which model answers is `model` itself, and a run that asked for
    // no name may have been given the same one.
    "model.name",
    "model.base_url",
    "model.timeout",
    "model.connect_timeout",
    "model.max_attempts",
    "model.n_per_request",
    "model.concurrency",
    "model.adaptive_concurrency",
    "model.max_tokens_total",
    "model.max_requests",
    // Grading comes after the run, and so does counting its cost.
    "evaluate.",
    "prices.",
    // A newer version continues an older run; stages whose inputs changed are made anew.
    "version",
    "revision",
];

/// Whether two values of this key may give two results.
#[must_use]
pub fn decides(key: &str) -> bool {
    !INDIFFERENT
        .iter()
        .any(|known| *known == key || (known.ends_with('.') && key.starts_with(known)))
}

/// Every key whose values differ.
#[must_use]
pub fn settings(a: &RunRecord, b: &RunRecord) -> Vec<SettingDiff> {
    let (a, b) = (flat(a), flat(b));
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .filter(|key| a.get(*key) != b.get(*key))
        .map(|key| SettingDiff { key: key.clone(), a: a.get(key).cloned(), b: b.get(key).cloned() })
        .collect()
}

fn flat(record: &RunRecord) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::from([
        ("model".to_owned(), json!(record.model)),
        ("dataset".to_owned(), json!(record.dataset)),
        ("dataset_digest".to_owned(), json!(record.dataset_digest)),
        ("version".to_owned(), json!(record.version)),
        ("revision".to_owned(), json!(record.revision)),
        // The kind alone: the rest says why it was taken.
        ("sandbox".to_owned(), json!(kind(&record.sandbox))),
    ]);
    for (name, digest) in &record.prompts {
        all.insert(format!("prompts.{name}"), json!(digest));
    }
    if let Some(entries) = record.settings.as_object() {
        for (key, entry) in entries {
            all.insert(key.clone(), entry.get("value").unwrap_or(entry).clone());
        }
    }
    all
}

fn kind(sandbox: &str) -> &str {
    sandbox.split([' ', ',']).next().unwrap_or_default()
}
