//! The hub's own cache layout, shared with all its clients:
//! `datasets--owner--name/{refs/REVISION, snapshots/COMMIT/PATH -> blobs/ETAG}`.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::dataset::hub::split::{self, NoFiles};
use crate::dataset::hub::{Hub, HubError};
use crate::dataset::load::hex;
use crate::scratch;

/// Folders below a snapshot that are looked through.
const DEPTH: usize = 6;

/// One repository's part of the cache.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    pub(super) fn new(hub: &Hub, id: &str) -> Self {
        Self { folder: hub.cache.join(format!("datasets--{}", id.replace('/', "--"))) }
    }

    /// The commit that the cache knows for a revision.
    pub(super) fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let text = fs::read_to_string(self.folder.join("refs").join(revision)).ok()?;
        Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Commits that something is cached of.
    pub(super) fn commits(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.join("snapshots")).into_iter().flatten().flatten();
        let mut commits: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        commits.sort();
        commits
    }

    /// The cached files of a split, if all of them are there.
    pub(super) fn files(&self, commit: &str, split: &str) -> Result<Vec<PathBuf>, NoFiles> {
        let snapshot = self.snapshot(commit);
        let paths = split::select(&parquet_below(&snapshot), split)?;
        Ok(paths.into_iter().map(|path| snapshot.join(path)).collect())
    }

    /// Where a file of a commit is or will be.
    pub(super) fn file(&self, commit: &str, path: &str) -> PathBuf {
        self.snapshot(commit).join(path)
    }

    fn snapshot(&self, commit: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit)
    }

    /// Notes which commit a revision is.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if is_commit(revision) || self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.folder.join("refs").join(revision);
        let mut file = self.fresh(&parent(&path))?;
        let write = file.write_all(commit.as_bytes());
        write.and_then(|()| settle(file, &path)).map_err(failed("write", &path))
    }

    /// A file that becomes a blob.
    pub(super) fn fresh_blob(&self) -> Result<scratch::File, HubError> {
        self.fresh(&self.folder.join("blobs"))
    }

    fn fresh(&self, folder: &Path) -> Result<scratch::File, HubError> {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        scratch::File::below(folder, ".agent-").map_err(failed("write to", folder))
    }

    /// Makes a complete file the blob `etag` and the content of `path` in `commit`. Other processes
    /// see all of it or nothing.
    pub(super) fn keep(
        &self,
        file: scratch::File,
        etag: &str,
        commit: &str,
        path: &str,
    ) -> Result<(), HubError> {
        let blob = self.folder.join("blobs").join(etag);
        settle(file, &blob).map_err(failed("write", &blob))?;
        let pointer = self.file(commit, path);
        let folder = parent(&pointer);
        fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        let ups = path.split('/').count() + 1;
        let target: PathBuf = std::iter::repeat_n("..", ups).collect();
        link(&target.join("blobs").join(etag), &blob, &pointer).map_err(failed("write", &pointer))
    }

    /// Removes a damaged file, so that it is fetched again.
    pub(super) fn forget(&self, path: &Path) -> Result<(), HubError> {
        let blob = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        for path in [&blob, path] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Why a cached or fetched file is not what its name says, if it shows.
///
/// The hub names large files by their SHA-256.
pub(super) fn damage(path: &Path) -> Result<Option<&'static str>, HubError> {
    let bytes = fs::read(path).map_err(failed("read", path))?;
    let name = path.canonicalize().ok();
    let name = name.as_ref().and_then(|blob| blob.file_name()).and_then(|name| name.to_str());
    let digest = name.filter(|name| is_sha256(name));
    if digest.is_some_and(|digest| hex(&Sha256::digest(&bytes)) != digest) {
        return Ok(Some("its SHA-256 is not its name's"));
    }
    Ok(framing(&bytes))
}

/// A parquet file begins and ends with its four letters.
fn framing(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: &[u8] = b"PAR1";
    let framed = bytes.len() >= 12 && bytes.starts_with(MAGIC) && bytes.ends_with(MAGIC);
    (!framed).then_some("it is no whole parquet file")
}

/// Whether a text is the name of a large file's blob.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a revision is a commit's full id.
pub(super) fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path of a repository stays below the folder that it is joined to.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Parquet files below a folder, as relative paths with `/`, sorted.
pub(crate) fn parquet_below(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, prefix: &str, depth: usize, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = entry.path();
            if path.is_dir() && depth > 0 && !name.starts_with('.') {
                walk(&path, &format!("{prefix}{name}/"), depth - 1, found);
            } else if name.ends_with(".parquet") && path.is_file() {
                found.push(format!("{prefix}{name}"));
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, "", DEPTH, &mut found);
    found.sort();
    found
}

fn parent(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_owned)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> HubError {
    let path = path.to_owned();
    move |source| HubError::Io { action, path, source }
}

/// Puts a file into place, readable for those who share the cache.
fn settle(file: scratch::File, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path)
}

/// A link where the system has them, a copy elsewhere, as the hub's own clients do.
fn link(target: &Path, blob: &Path, pointer: &Path) -> io::Result<()> {
    let made = parent(pointer).join(format!(".agent-{}", std::process::id()));
    #[cfg(unix)]
    {
        let _ = blob;
        std::os::unix::fs::symlink(target, &made)?;
    }
    #[cfg(not(unix))]
    {
        let _ = target;
        fs::copy(blob, &made)?;
    }
    fs::rename(&made, pointer)
}
