//! Laying a checkout's files out in a directory.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;

use git2::Oid;

use crate::repo::{Checkout, FileMode};

impl Checkout {
    /// Writes all files below `dir`, which exists and is empty: with their modes, symbolic links
    /// as links, submodules as empty directories, and names that are not UTF-8 as they are.
    ///
    /// Nothing is written outside of `dir` or into `.git`: such entries are not part of a checkout
    /// ([`Checkout::skipped`]), no existing file is opened, and links come last, so that no path
    /// goes through one.
    ///
    /// # Errors
    /// What the disk says, or `NotFound` with a [`crate::repo::RepoError`] inside for absent
    /// objects; `AlreadyExists` when two names are one on this file system.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        let mut links = Vec::new();
        for file in self.files() {
            let id = Oid::from_str(&file.blob).map_err(io::Error::other)?;
            if file.mode == FileMode::Symlink {
                links.push((file.path.as_bytes(), id));
            } else {
                self.write_file(dir, file.path.as_bytes(), id, file.mode)?;
            }
        }
        for file in self.odd() {
            if file.mode == FileMode::Symlink {
                links.push((&file.path, file.blob));
            } else {
                self.write_file(dir, &file.path, file.blob, file.mode)?;
            }
        }
        for path in self.submodules() {
            fs::create_dir_all(dir.join(path))?;
        }
        for (path, id) in links {
            let target = self.bytes(id, path)?;
            let place = prepare(dir, path)?;
            symlink(OsStr::from_bytes(&target), &place).map_err(|error| named(error, path))?;
        }
        Ok(())
    }

    fn write_file(&self, dir: &Path, path: &[u8], id: Oid, mode: FileMode) -> io::Result<()> {
        let content = self.bytes(id, path)?;
        let place = prepare(dir, path)?;
        let bits = if mode == FileMode::Executable { 0o755 } else { 0o644 };
        let file = OpenOptions::new().write(true).create_new(true).mode(bits).open(&place);
        file.and_then(|mut file| file.write_all(&content)).map_err(|error| named(error, path))
    }

    fn bytes(&self, id: Oid, path: &[u8]) -> io::Result<Vec<u8>> {
        self.blob(id, &path.escape_ascii().to_string())
            .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))
    }
}

fn prepare(dir: &Path, path: &[u8]) -> io::Result<std::path::PathBuf> {
    let place = dir.join(OsStr::from_bytes(path));
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(|error| named(error, path))?;
    }
    Ok(place)
}

fn named(error: io::Error, path: &[u8]) -> io::Error {
    io::Error::new(error.kind(), format!("cannot write {}: {error}", path.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::repo::testing::{TestRepo, git};

    #[test]
    fn what_is_laid_out_is_the_tree_that_git_sees() {
        let repo = TestRepo::new();
        repo.write("p/run.sh", b"#!/bin/sh\n");
        repo.write("p/a.py", b"a = 1\r\n");
        std::os::unix::fs::symlink("a.py", repo.path().join("p/link")).unwrap();
        repo.make_executable("p/run.sh");
        repo.commit("base");
        let checkout = Checkout::open(repo.path(), "HEAD").unwrap();
        let out = tempfile::tempdir().unwrap();
        checkout.write_to(out.path()).unwrap();
        let mode = fs::metadata(out.path().join("p/run.sh")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
        assert_eq!(fs::read_link(out.path().join("p/link")).unwrap(), Path::new("a.py"));
        // Nothing is lost: git, asked to store what was laid out, finds the same tree.
        git(out.path(), &["init", "-q"]);
        git(out.path(), &["-c", "core.autocrlf=false", "add", "-A"]);
        assert_eq!(git(out.path(), &["write-tree"]).trim(), git_tree(&repo));
    }

    fn git_tree(repo: &TestRepo) -> String {
        repo.git(&["rev-parse", "HEAD^{tree}"]).trim().to_owned()
    }
}
