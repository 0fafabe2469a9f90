//! The directory of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::artifact::{Instance, InstanceId, Prediction, Server};
use crate::store::files::{append, lines, make_dir, read_json, read_rows, replace, replace_json};
use crate::store::{InstanceDir, StoreError};

/// `run.json`: what was run, so that the numbers can be had again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this file's format.
    pub schema: u32,
    /// Version of `agent`.
    pub version: String,
    /// Where the instances came from: a name or a path.
    pub dataset: String,
    /// SHA-256 of the dataset's bytes; empty for an issue of one's own.
    pub dataset_digest: String,
    /// For a dataset of the Hugging Face hub: its name with the commit that was taken as revision,
    /// `owner/name@COMMIT:SPLIT`. Opens just these rows again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_dataset: Option<String>,
    /// Model name as the endpoint knows it.
    pub model: String,
    /// Program that serves the model, as far as it says; none where replies are recorded ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// Sandbox that was taken, and why.
    pub sandbox: String,
    /// SHA-256 of each prompt's text.
    pub prompts: BTreeMap<String, String>,
    /// Instances selected, in order; those of every process that worked in the directory.
    pub instances: Vec<InstanceId>,
    /// Parts of the dataset that processes took, such as `2/8`, with what named them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub shards: BTreeMap<String, String>,
    /// Every setting with its value and the layer it came from; secrets are left out.
    pub settings: serde_json::Value,
    /// Git revision that `agent` was built from, with `+changes` where files differed from it; absent
    /// for a development build and for one made outside of git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The run's seed, from which each sample's own is derived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The image that each instance's tests ran in, as `environment.json` of the instance has it;
    /// written when the run ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<InstanceId, ImageLock>,
    /// For a run made of others: which, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<serde_json::Value>,
}

/// An image and its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLock {
    /// Name.
    pub image: String,
    /// Digest of the content, where the engine knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl RunRecord {
    /// The value of a setting.
    #[must_use]
    pub fn setting(&self, key: &str) -> Option<&serde_json::Value> {
        self.settings.get(key)?.get("value")
    }

    /// Settings that are not built in: key, value, origin.
    #[must_use]
    pub fn changed_settings(&self) -> Vec<[String; 3]> {
        let rows = self.settings.as_object().into_iter().flatten();
        rows.filter_map(|(key, row)| {
            let origin = row.get("origin")?.as_str()?;
            let value = row.get("value")?;
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (origin != "built-in").then(|| [key.clone(), value, origin.to_owned()])
        })
        .collect()
    }
}

/// A run directory. Several processes may work in one, also on several machines if its file system
/// keeps locks among them: each instance is held by one of them, and the files of the whole run are
/// changed under a lock of their own.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes the directory if needed.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be made.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        make_dir(path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where events are appended.
    #[must_use]
    pub fn events_path(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    /// `run.json`, if the directory holds a run.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn record(&self) -> Result<Option<RunRecord>, StoreError> {
        read_json(&self.path.join("run.json"))
    }

    /// Saves `run.json`.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub fn save_record(&self, record: &RunRecord) -> Result<(), StoreError> {
        replace_json(&self.path.join("run.json"), record)
    }

    /// The image of each of these instances that had an environment.
    ///
    /// # Errors
    /// [`StoreError`] when an instance's directory cannot be read.
    pub fn images<'a>(
        &self,
        instances: impl IntoIterator<Item = &'a InstanceId>,
    ) -> Result<BTreeMap<InstanceId, ImageLock>, StoreError> {
        let mut images = BTreeMap::new();
        for id in instances {
            let Some(environment) = self.view(id)?.environment()? else { continue };
            if let Some(image) = environment.image {
                images.insert(id.clone(), ImageLock { image, digest: environment.digest });
            }
        }
        Ok(images)
    }

    /// Writes down in `run.json` which images its instances ran in.
    ///
    /// # Errors
    /// [`StoreError`] when something cannot be read or written.
    pub fn lock_images(&self) -> Result<(), StoreError> {
        let _lock = self.hold()?;
        let Some(record) = self.record()? else { return Ok(()) };
        let images = self.images(&record.instances)?;
        if images != record.images {
            self.save_record(&RunRecord { images, ..record })?;
        }
        Ok(())
    }

    /// Saves `run.json`. Of an earlier record of the same dataset the origin, the instances and the
    /// shards stay in it; instances are put in `order`, unknown ones after it.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read or written.
    pub fn join_record(
        &self,
        mut record: RunRecord,
        order: &[InstanceId],
    ) -> Result<(), StoreError> {
        let _lock = self.hold()?;
        if let Some(before) = self.record()? {
            let same = (&before.dataset, &before.dataset_digest)
                == (&record.dataset, &record.dataset_digest);
            if same {
                record.instances.extend(before.instances);
                record.images = before.images;
                for (shard, from) in before.shards {
                    record.shards.entry(shard).or_insert(from);
                }
            }
            record.origin = before.origin;
        }
        let all: BTreeSet<&InstanceId> = record.instances.iter().collect();
        let mut seen = BTreeSet::new();
        let ordered = order.iter().filter(|id| all.contains(id)).chain(&record.instances);
        let ordered = ordered.filter(|id| seen.insert(*id)).cloned().collect();
        record.instances = ordered;
        self.save_record(&record)
    }

    /// Waits until no other process changes the files of the whole run.
    fn hold(&self) -> Result<File, StoreError> {
        let path = self.path.join(".lock");
        let file = File::create(&path).map_err(StoreError::io("open", &path))?;
        file.lock().map_err(StoreError::io("lock", &path))?;
        Ok(file)
    }

    /// Opens an instance's directory for work.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Locked`] when another process works on it.
    pub fn instance(&self, instance: &Instance) -> Result<InstanceDir, StoreError> {
        InstanceDir::open(&self.path, instance)
    }

    /// Opens an instance's directory to look at it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn view(&self, id: &InstanceId) -> Result<InstanceDir, StoreError> {
        InstanceDir::view(&self.path, id)
    }

    /// Appends a finished instance's prediction, for those who watch the file.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written.
    pub fn append_prediction(&self, prediction: &Prediction) -> Result<(), StoreError> {
        let _lock = self.hold()?;
        append(&self.path.join("predictions.jsonl"), std::slice::from_ref(prediction))
    }

    /// `predictions.jsonl` as it stands; the last row of an instance counts.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn predictions(&self) -> Result<Vec<Prediction>, StoreError> {
        read_rows(&self.path.join("predictions.jsonl"))
    }

    /// Replaces the predictions by what `change` makes of those that stand there. No row that another
    /// process appends is lost.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be read or written.
    pub fn change_predictions(
        &self,
        change: impl FnOnce(Vec<Prediction>) -> Vec<Prediction>,
    ) -> Result<(), StoreError> {
        let _lock = self.hold()?;
        self.save_predictions(&change(self.predictions()?))
    }

    /// Writes `predictions.jsonl` and `predictions.json` in the given order, so that two runs with
    /// the same results have the same bytes.
    ///
    /// # Errors
    /// [`StoreError`] when they cannot be written.
    pub fn save_predictions(&self, predictions: &[Prediction]) -> Result<(), StoreError> {
        let path = self.path.join("predictions.jsonl");
        replace(&path, &lines(&path, predictions)?)?;
        replace_json(&self.path.join("predictions.json"), &predictions)
    }
}
