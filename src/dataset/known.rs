//! Datasets that have a name.

use std::path::Path;

use crate::dataset::{Dataset, DatasetError, ImageNaming, sample};

/// The known names with a line for people each.
pub const KNOWN: [(&str, &str); 5] = [
    ("sample", "bundled: small projects with recorded model replies"),
    ("packages", "real packages, built here from source releases (`agent images build packages`)"),
    ("verified", "SWE-bench Verified, 500 instances"),
    ("lite", "SWE-bench Lite, 300 instances"),
    ("full", "SWE-bench, 2294 instances"),
];

/// The dataset of that name, or none when the name is not a known one.
///
/// # Errors
/// [`DatasetError::NotBuilt`] and [`DatasetError::Remote`] say what to do; a built dataset that
/// is broken gives the error of [`Dataset::load`].
pub fn known(name: &str, cache: &Path) -> Result<Option<Dataset>, DatasetError> {
    match name {
        "sample" => Ok(Some(sample::dataset())),
        "packages" => {
            let path = cache.join("packages").join("packages.jsonl");
            if !path.exists() {
                return Err(DatasetError::NotBuilt { name: "packages", path });
            }
            Dataset::load_with(&path, &ImageNaming::None).map(Some)
        }
        "verified" | "lite" | "full" => Err(DatasetError::Remote { name: name.to_owned() }),
        _ => Ok(None),
    }
}

/// A known name or the path of a file. A name wins over a file of the same name; `./sample` is
/// always a path.
///
/// # Errors
/// [`DatasetError`].
pub fn open(
    name_or_path: &str,
    cache: &Path,
    naming: &ImageNaming,
) -> Result<Dataset, DatasetError> {
    if let Some(dataset) = known(name_or_path, cache)? {
        return Ok(dataset);
    }
    let path = Path::new(name_or_path);
    // A bare word is a mistyped name more often than a missing file.
    if !path.exists() && path.extension().is_none() {
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
        let error = |name| open(name, cache.path(), &ImageNaming::Official).unwrap_err();
        let missing = error("packages");
        assert!(missing.to_string().contains("packages.jsonl is missing"), "{missing}");
        assert_eq!(missing.hint().unwrap(), "build it with `agent images build packages`");
        for name in ["verified", "lite", "full"] {
            assert!(matches!(error(name), DatasetError::Remote { .. }));
            assert!(error(name).hint().unwrap().contains(".jsonl"));
        }
        let typo = error("smaple").to_string();
        assert!(typo.contains("\"smaple\"") && typo.contains("sample, packages"), "{typo}");
        assert!(matches!(error("rows.jsonl"), DatasetError::Read { .. }));
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
        let dataset = open("packages", cache.path(), &ImageNaming::Official).unwrap();
        let image = dataset.instances()[0].image.clone();
        assert_eq!(image.as_deref(), Some("agent/packages:o__n-1"));
    }
}
