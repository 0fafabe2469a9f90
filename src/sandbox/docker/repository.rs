//! The git repository of an image, copied out of it.

use std::fs::{self, File};
use std::io::{self, Seek};
use std::path::{Component, Path};

use crate::sandbox::SandboxError;
use crate::sandbox::docker::Container;
use crate::scratch;

/// Largest repository that is copied, in bytes.
const LARGEST: u64 = 16 << 30;

/// Copies `/testbed/.git` to `into`, which becomes a bare repository at once or not at all.
pub(super) async fn copy(container: &Container, into: &Path) -> Result<(), SandboxError> {
    let failed = |source: io::Error| SandboxError::Io {
        action: format!("copy the repository of an image to {}", into.display()),
        source,
    };
    let parent = into.parent().unwrap_or(Path::new(".")).to_owned();
    fs::create_dir_all(&parent).map_err(failed)?;
    let mut tar = tempfile::tempfile_in(&parent).map_err(failed)?;
    container.download("/testbed/.git", LARGEST, &mut tar).await?;
    let target = into.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || unpack(tar, &parent, &target)).await;
    unpacked.map_err(io::Error::other).and_then(|done| done).map_err(failed)
}

fn unpack(mut tar: File, parent: &Path, into: &Path) -> io::Result<()> {
    tar.rewind()?;
    let folder = scratch::Dir::below(parent, ".export-")?;
    for entry in tar::Archive::new(tar).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        // Objects, packs and what names them: hooks and configuration of an image are not taken.
        let wanted = path.components().nth(1).is_some_and(|part| {
            matches!(part, Component::Normal(name) if name == "objects" || name == "shallow")
        });
        let kind = entry.header().entry_type();
        if wanted && (kind.is_file() || kind.is_dir()) {
            entry.unpack_in(folder.path())?;
        }
    }
    let repository = folder.path().join(".git");
    fs::create_dir_all(repository.join("objects"))?;
    fs::create_dir_all(repository.join("refs"))?;
    fs::write(repository.join("HEAD"), "ref: refs/heads/main\n")?;
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
    fs::write(repository.join("config"), config)?;
    match fs::rename(&repository, into) {
        // Another process was faster; its copy is as good.
        Err(_) if into.join("HEAD").exists() => Ok(()),
        done => done,
    }
}
