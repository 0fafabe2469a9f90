//! Datasets that have a name.

use std::path::Path;

use crate::dataset::hub::{self, Hub, HubName};
use crate::dataset::{Dataset, DatasetError, ImageNaming, files, parquet, sample};

/// The known names with a line for people each.
pub const KNOWN: [(&str, &str); 5] = [
    ("sample", "bundled: small projects with recorded model replies"),
    ("packages", "real packages, built here from source releases (`agent images build packages`)"),
    ("verified", "SWE-bench Verified, 500 instances, from the Hugging Face hub"),
    ("lite", "SWE-bench Lite, 300 instances, from the hub"),
    ("full", "SWE-bench, 2294 instances, from the hub"),
];

/// What of a known dataset is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// Number of rows.
    pub rows: usize,
    /// For a dataset of the hub: the commit that is cached.
    pub commit: Option<String>,
}

/// What of a known dataset is on this machine; none if nothing is, or not all of it.
#[must_use]
pub fn here(name: &str, cache: &Path, hub: &Hub) -> Option<Here> {
    let whole = |dataset: Dataset| Here { rows: dataset.len(), commit: None };
    match name {
        "sample" => Some(whole(sample::dataset())),
        "packages" => packages(cache).ok().map(whole),
        _ => {
            let taken = hub::in_cache(&HubName::parse(name).ok()??, hub)?;
            let counts = taken.files.iter().map(|file| std::fs::read(file).ok());
            let rows = counts.map(|bytes| parquet::count(&bytes?).ok()).sum::<Option<usize>>()?;
            Some(Here { rows, commit: Some(taken.pinned.revision) })
        }
    }
}

fn packages(cache: &Path) -> Result<Dataset, DatasetError> {
    let path = cache.join("packages").join("packages.jsonl");
    if !path.exists() {
        return Err(DatasetError::NotBuilt { name: "packages", path });
    }
    Dataset::load_with(&path, &ImageNaming::None)
}

/// A known name, the path of a file or folder, or a dataset of the hub ([`HubName`]). A name wins
/// over a file of the same name, a file over a repository of the hub; `./sample` is always a path.
/// `notice` hears what is fetched and what stands in for what.
///
/// # Errors
/// [`DatasetError`].
pub fn open(
    name_or_path: &str,
    cache: &Path,
    naming: &ImageNaming,
    hub: &Hub,
    notice: &(dyn Fn(&str) + Sync),
) -> Result<Dataset, DatasetError> {
    match name_or_path {
        "sample" => return Ok(sample::dataset()),
        "packages" => return packages(cache),
        _ => {}
    }
    let path = Path::new(name_or_path);
    let is_path = path.exists() || files::is_named_so(path);
    if (!is_path || hub::is_alias(name_or_path))
        && let Some(name) = HubName::parse(name_or_path)?
    {
        let taken = hub::take(&name, hub, notice)?;
        return Dataset::load_taken(name_or_path, taken, naming);
    }
    // A bare word is a mistyped name more often than a missing file.
    if !is_path && path.extension().is_none() {
        return Err(DatasetError::Unknown {
            name: name_or_path.to_owned(),
            known: KNOWN.map(|(name, _)| name).join(", "),
        });
    }
    Dataset::load_with(path, naming)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_served_say_what_to_do() {
        let cache = tempfile::tempdir().unwrap();
        let hub = nowhere(cache.path());
        let error =
            |name| open(name, cache.path(), &ImageNaming::Official, &hub, &|_| {}).unwrap_err();
        let missing = error("packages");
        assert!(missing.to_string().contains("packages.jsonl is missing"), "{missing}");
        assert_eq!(missing.hint().unwrap(), "build it with `agent images build packages`");
        for name in ["verified", "lite", "full"] {
            let offline = error(name);
            assert!(offline.is_environment(), "{offline}");
            assert!(offline.to_string().contains("HF_HUB_OFFLINE forbids"), "{offline}");
            assert!(offline.hint().unwrap().contains("agent dataset fetch SWE-bench/SWE-bench"));
        }
        let typo = error("smaple").to_string();
        assert!(typo.contains("\"smaple\"") && typo.contains("sample, packages"), "{typo}");
        assert!(matches!(error("rows.jsonl"), DatasetError::Read { .. }));
    }

    /// A hub that is never asked and an empty cache.
    fn nowhere(cache: &Path) -> Hub {
        let home = cache.display().to_string();
        Hub::from_variables(&|name| match name {
            "HF_HOME" => Some(home.clone()),
            "HF_HUB_OFFLINE" => Some("1".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn files_win_over_repositories_and_short_names_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let hub = nowhere(dir.path());
        let error =
            |name: &str| open(name, dir.path(), &ImageNaming::Official, &hub, &|_| {}).unwrap_err();
        assert!(matches!(error("owner/rows.jsonl"), DatasetError::Read { .. }));
        assert!(matches!(error("owner/rows.parquet"), DatasetError::Read { .. }));
        assert!(matches!(error("owner/rows"), DatasetError::Hub(_)));
        assert!(matches!(error("lite@v1:dev"), DatasetError::Hub(_)));
        assert!(matches!(error("./owner/rows"), DatasetError::Unknown { .. }));
        let folder = dir.path().join("rows");
        std::fs::create_dir(&folder).unwrap();
        assert!(matches!(error(folder.to_str().unwrap()), DatasetError::Kind { .. }));
    }

    #[test]
    fn packages_come_from_the_cache() {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("packages");
        std::fs::create_dir(&folder).unwrap();
        let row = serde_json::json!({
            "instance_id": "o__n-1", "repo": "o/n", "problem_statement": "broken",
            "base_commit": "0".repeat(40), "image": "agent/packages:o__n-1",
        });
        std::fs::write(folder.join("packages.jsonl"), row.to_string()).unwrap();
        let dataset =
            open("packages", cache.path(), &ImageNaming::Official, &nowhere(cache.path()), &|_| {})
                .unwrap();
        let image = dataset.instances()[0].image.clone();
        assert_eq!(image.as_deref(), Some("agent/packages:o__n-1"));
    }
}
