//! The checkout as the patch module sees a base tree.

use std::sync::Arc;

use crate::patch::{BaseTree, FileMode, FileState};
use crate::repo::{self, Checkout};

/// Reads files of the base commit for appliers: of edits in repair, of reference diffs in the
/// reward server.
pub struct Base {
    checkout: Arc<Checkout>,
    paths: Vec<String>,
}

impl Base {
    /// Lists the tree once.
    #[must_use]
    pub fn new(checkout: Arc<Checkout>) -> Self {
        let paths = checkout.files().iter().map(|file| file.path.clone()).collect();
        Self { checkout, paths }
    }
}

impl BaseTree for Base {
    fn read(&self, path: &str) -> Option<FileState> {
        let mode = match self.checkout.file(path)?.mode {
            repo::FileMode::Regular => FileMode::Regular,
            repo::FileMode::Executable => FileMode::Executable,
            repo::FileMode::Symlink => FileMode::Symlink,
        };
        // An object that cannot be read is the same to an edit as a file that is not there; the
        // repository's health is checked when it is opened.
        let content = self.checkout.read(path).ok().flatten()?;
        Some(FileState { content, mode })
    }

    fn paths(&self) -> &[String] {
        &self.paths
    }
}
