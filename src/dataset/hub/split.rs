//! Which parquet files of a repository or folder hold a split.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names that splits have when nobody chose others.
const USUAL: [&str; 4] = ["test", "dev", "validation", "train"];

/// Why no files were chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoFiles {
    /// No parquet file at all.
    NoParquet,
    /// None of that split; the splits that there are.
    NoSplit(Vec<String>),
    /// Several folders hold the split: configurations of one dataset.
    Several(Vec<String>),
    /// A shard is missing: `(found, expected)`.
    Shards(usize, usize),
}

impl fmt::Display for NoFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParquet => f.write_str("holds no parquet file"),
            Self::NoSplit(splits) => {
                write!(f, "has no file of that split; it has {}", splits.join(", "))
            }
            Self::Several(folders) => {
                write!(f, "has that split in several folders: {}", folders.join(", "))
            }
            Self::Shards(found, expected) => {
                write!(f, "has {found} of {expected} files of that split")
            }
        }
    }
}

/// Whether a split's name is one of the usual.
pub(crate) fn is_usual(split: &str) -> bool {
    USUAL.contains(&split)
}

/// The parquet files of `split` among `paths` (relative, `/` between components), sorted.
///
/// A file is of a split if a word of its name, or of a folder's, is the split's name, as the hub
/// itself reads paths: `data/test-00000-of-00001.parquet`, `test/0.parquet`, `test.parquet`.
pub(crate) fn select(paths: &[String], split: &str) -> Result<Vec<String>, NoFiles> {
    let parquet: Vec<&String> = paths.iter().filter(|path| is_parquet(path)).collect();
    if parquet.is_empty() {
        return Err(NoFiles::NoParquet);
    }
    let mut folders = BTreeMap::<&str, Vec<String>>::new();
    for path in parquet.iter().filter(|path| words(path).any(|word| word == split)) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folders.entry(folder).or_default().push((*path).clone());
    }
    let mut files = match folders.len() {
        0 => return Err(NoFiles::NoSplit(splits(&parquet))),
        1 => folders.into_values().next().unwrap_or_default(),
        _ => {
            let main = ["data", "", "default"].iter().find_map(|name| folders.remove(name));
            let names = || folders.keys().map(|name| (*name).to_owned()).collect();
            main.ok_or_else(|| NoFiles::Several(names()))?
        }
    };
    files.sort();
    complete(&files)?;
    Ok(files)
}

/// Shards say how many they are: `test-00000-of-00002.parquet`.
fn complete(files: &[String]) -> Result<(), NoFiles> {
    let expected = |path: &String| {
        let (_, count) = path.strip_suffix(".parquet")?.rsplit_once("-of-")?;
        // Some writers append a digest to the count.
        count.split('-').next()?.parse::<usize>().ok()
    };
    match files.iter().filter_map(expected).max() {
        Some(count) if count > files.len() => Err(NoFiles::Shards(files.len(), count)),
        _ => Ok(()),
    }
}

fn splits(parquet: &[&String]) -> Vec<String> {
    let mut found = BTreeSet::new();
    for path in parquet {
        match words(path).find(|word| USUAL.contains(word)) {
            Some(usual) => found.insert(usual.to_owned()),
            None => {
                let name = path.rsplit('/').next().unwrap_or(path);
                let name = name.trim_end_matches(".parquet");
                found.insert(name.split_once("-0").map_or(name, |(split, _)| split).to_owned())
            }
        };
    }
    found.into_iter().collect()
}

fn words(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_suffix(".parquet").unwrap_or(path);
    path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

fn is_parquet(path: &str) -> bool {
    path.ends_with(".parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(paths: &[&str], split: &str) -> Result<Vec<String>, NoFiles> {
        select(&paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>(), split)
    }

    #[test]
    fn splits_are_read_from_names_and_folders_as_the_hub_does() {
        let hub =
            ["README.md", "data/dev-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"];
        assert_eq!(chosen(&hub, "test").unwrap(), ["data/test-00000-of-00001.parquet"]);
        assert_eq!(chosen(&hub, "dev").unwrap(), ["data/dev-00000-of-00001.parquet"]);
        let sharded = ["data/test-00001-of-00002.parquet", "data/test-00000-of-00002.parquet"];
        assert_eq!(chosen(&sharded, "test").unwrap()[0], "data/test-00000-of-00002.parquet");
        assert_eq!(chosen(&["default/test/0000.parquet"], "test").unwrap().len(), 1);
        assert_eq!(chosen(&["test.parquet", "latest.parquet"], "test").unwrap(), ["test.parquet"]);
    }

    #[test]
    fn what_is_not_there_says_what_is() {
        let trains = ["data/train-00000-of-00001.parquet", "data/filtered-00000-of-00001.parquet"];
        let found = NoFiles::NoSplit(vec!["filtered".into(), "train".into()]);
        assert_eq!(chosen(&trains, "test"), Err(found));
        assert_eq!(chosen(&["rows.jsonl"], "test"), Err(NoFiles::NoParquet));
        assert_eq!(
            chosen(&["data/test-00000-of-00003.parquet"], "test"),
            Err(NoFiles::Shards(1, 3)),
        );
        let two = ["a/test.parquet", "b/test.parquet"];
        assert_eq!(chosen(&two, "test"), Err(NoFiles::Several(vec!["a".into(), "b".into()])));
        let main = ["data/test.parquet", "b/test.parquet"];
        assert_eq!(chosen(&main, "test").unwrap(), ["data/test.parquet"]);
    }
}
