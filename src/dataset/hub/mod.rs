//! Datasets of the Hugging Face hub: fetched once, then read from the hub's own cache.

mod cache;
mod client;
mod environment;
mod error;
pub(super) mod split;

use std::fmt;
use std::future::Future;
use std::path::PathBuf;

pub use environment::Hub;
pub use error::HubError;

pub(super) use cache::parquet_below;
use cache::{Cache, is_commit};
use client::Client;
use split::NoFiles;

/// Split of a dataset that names none.
const SPLIT: &str = "test";
/// Revision of a dataset that names none.
const REVISION: &str = "main";

/// Short names of repositories on the hub.
pub(super) const ALIASES: [(&str, &str); 3] = [
    ("verified", "SWE-bench/SWE-bench_Verified"),
    ("lite", "SWE-bench/SWE-bench_Lite"),
    ("full", "SWE-bench/SWE-bench"),
];

/// A split of a dataset on the hub: `owner/name[@revision][:split]`, or a short name in place of
/// `owner/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubName {
    /// `owner/name`.
    pub id: String,
    /// Branch, tag, commit or `refs/…`.
    pub revision: String,
    /// Such as `test`.
    pub split: String,
}

impl fmt::Display for HubName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.id, self.revision, self.split)
    }
}

impl HubName {
    /// Reads a name; none when the text has not the shape of one.
    ///
    /// # Errors
    /// [`HubError::Name`] for something in that shape that the hub would not take.
    pub fn parse(name: &str) -> Result<Option<Self>, HubError> {
        let (rest, split) = match name.rsplit_once(':') {
            Some((rest, split)) => (rest, Some(split)),
            None => (name, None),
        };
        let (id, revision) = match rest.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (rest, None),
        };
        let alias = ALIASES.iter().find(|(alias, _)| *alias == id).map(|(_, id)| *id);
        let id = alias.unwrap_or(id);
        let parts: Vec<_> = id.split('/').collect();
        if parts.len() != 2 || id.starts_with(['.', '~', '/']) || id.contains('\\') {
            return Ok(None);
        }
        let wrong = |problem| Err(HubError::Name { name: name.to_owned(), problem });
        let plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with(['.', '-'])
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !parts.iter().all(|part| plain(part)) {
            return wrong("owner and name hold letters, digits, `.`, `_` and `-`");
        }
        if !revision.is_none_or(|revision| revision.split('/').all(plain)) {
            return wrong("a revision is a branch, a tag or a commit");
        }
        if !split.is_none_or(plain) {
            return wrong("a split is a word such as test or dev");
        }
        Ok(Some(Self {
            id: id.to_owned(),
            revision: revision.unwrap_or(REVISION).to_owned(),
            split: split.unwrap_or(SPLIT).to_owned(),
        }))
    }

    /// The same split at a commit.
    #[must_use]
    pub fn at(&self, commit: &str) -> Self {
        Self { revision: commit.to_owned(), ..self.clone() }
    }
}

/// Whether a dataset is given by a short name, with a revision or split or without.
pub(super) fn is_alias(name: &str) -> bool {
    let word = name.split(['@', ':']).next().unwrap_or_default();
    ALIASES.iter().any(|(alias, _)| *alias == word)
}

/// What was taken of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Repository and split, with the commit as revision: opens just these rows again.
    pub pinned: HubName,
    /// The split's files, in order.
    pub files: Vec<PathBuf>,
}

/// Opens a split: the hub is asked which commit the revision is, and what is missing is fetched. A
/// commit that is cached is taken without a network, and so is the last known commit of a revision
/// when the hub does not answer or must not be asked. `notice` hears what happens.
///
/// # Errors
/// [`HubError`].
pub(super) fn take(
    name: &HubName,
    hub: &Hub,
    notice: &(dyn Fn(&str) + Sync),
) -> Result<Taken, HubError> {
    let cache = Cache::new(hub, &name.id);
    if let Some(variable) = hub.offline {
        return match cached(&cache, name)? {
            Some(taken) => Ok(taken),
            None => Err(not_cached(&cache, name, hub, variable)),
        };
    }
    if is_commit(&name.revision)
        && let Ok(Some(taken)) = cached(&cache, name)
    {
        return Ok(taken);
    }
    let error = match on_thread(fetch(name, hub, &cache, notice)) {
        Ok(taken) => return Ok(taken),
        Err(error) => error,
    };
    if !error.may_pass() {
        return Err(error);
    }
    let Some(taken) = cached(&cache, name)? else { return Err(error) };
    notice(&format!("{}: the cached copy is taken", error.short()));
    Ok(taken)
}

/// What the cache alone gives; damaged files are an error.
fn cached(cache: &Cache, name: &HubName) -> Result<Option<Taken>, HubError> {
    let Some(commit) = cache.commit(&name.revision) else { return Ok(None) };
    let Ok(files) = cache.files(&commit, &name.split) else { return Ok(None) };
    for path in &files {
        if let Some(problem) = cache::damage(path)? {
            return Err(HubError::Damaged { path: path.clone(), problem });
        }
    }
    Ok(Some(Taken { pinned: name.at(&commit), files }))
}

/// What of a name is cached, for those who list: the commit, and the files if all are there.
pub(super) fn in_cache(name: &HubName, hub: &Hub) -> Option<Taken> {
    cached(&Cache::new(hub, &name.id), name).ok().flatten()
}

async fn fetch(
    name: &HubName,
    hub: &Hub,
    cache: &Cache,
    notice: &(dyn Fn(&str) + Sync),
) -> Result<Taken, HubError> {
    let client = Client::new(hub, name)?;
    let info = client.info().await?;
    let commit = &info.sha;
    let paths =
        split::select(&info.paths(), &name.split).map_err(|why| no_files(name, commit, why))?;
    for path in &paths {
        let place = cache.file(commit, path);
        if place.exists() {
            if cache::damage(&place)?.is_none() {
                continue;
            }
            notice(&format!("{} is damaged and is fetched again", place.display()));
            cache.forget(&place)?;
        }
        notice(&format!("fetching {path} of {} at {}", name.id, &commit[..12]));
        client.fetch(cache, commit, path).await?;
        if let Some(problem) = cache::damage(&place)? {
            cache.forget(&place)?;
            return Err(HubError::Damaged { path: place, problem });
        }
    }
    // Last, so that a revision's commit is complete where it is known.
    cache.set_commit(&name.revision, commit)?;
    let files = paths.iter().map(|path| cache.file(commit, path)).collect();
    Ok(Taken { pinned: name.at(commit), files })
}

/// Runs network work from code that is not asynchronous, inside or outside of a runtime.
fn on_thread<T: Send>(
    work: impl Future<Output = Result<T, HubError>> + Send,
) -> Result<T, HubError> {
    let failed = |source| HubError::Io { action: "start", path: "a network thread".into(), source };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(failed)?.block_on(work)
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn not_cached(cache: &Cache, name: &HubName, hub: &Hub, variable: &'static str) -> HubError {
    HubError::Offline {
        wanted: Box::new(name.clone()),
        cache: hub.cache.clone(),
        variable,
        other: cache.commits(),
    }
}

fn no_files(name: &HubName, commit: &str, why: NoFiles) -> HubError {
    let HubName { id, split, .. } = name;
    let (problem, hint) = match why {
        NoFiles::NoParquet => (
            "holds no parquet file".to_owned(),
            format!("the hub may have made some: {id}@refs/convert/parquet; or give a local file"),
        ),
        NoFiles::NoSplit(splits) => {
            let first = splits.first().map_or("train", String::as_str);
            let hint = format!("name one, such as {id}:{first}");
            (format!("has no split {split}; it has {}", splits.join(", ")), hint)
        }
        NoFiles::Several(folders) => (
            format!("has split {split} in several configurations: {}", folders.join(", ")),
            "fetch the one that is meant and give the path of its .parquet file".to_owned(),
        ),
        NoFiles::Shards(found, expected) => (
            format!("has {found} of {expected} files of split {split}"),
            "the repository is incomplete: name another revision".to_owned(),
        ),
    };
    HubError::Files { id: id.clone(), commit: commit.to_owned(), problem, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Option<String> {
        HubName::parse(name).unwrap().map(|name| name.to_string())
    }

    #[test]
    fn names_are_repositories_with_revision_and_split() {
        let verified = "SWE-bench/SWE-bench_Verified";
        assert_eq!(parsed("verified").unwrap(), format!("{verified}@main:test"));
        assert_eq!(parsed("lite:dev").unwrap(), "SWE-bench/SWE-bench_Lite@main:dev");
        assert_eq!(parsed("full@v1").unwrap(), "SWE-bench/SWE-bench@v1:test");
        let text = "o/n@refs/convert/parquet:train";
        assert_eq!(parsed(text).unwrap(), text);
        for other in ["rows", "./o/n", "/o/n", "~/n", "../n", "a/b/c", "o\\n/x"] {
            assert_eq!(parsed(other), None, "{other}");
        }
        for bad in ["o/n@", "o/n:", "o /n", "o/n@../../x", "o/n@a//b", "o/.n", "o/", "o/n:a/b"] {
            assert!(matches!(HubName::parse(bad), Err(HubError::Name { .. })), "{bad}");
        }
    }
}
