//! What can go wrong while an image is made.

use std::io;

use crate::images::files::FilesError;
use crate::sandbox::SandboxError;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The source cannot be read.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A tree cannot be committed.
    #[error(transparent)]
    Commit(#[from] crate::dataset::commit::CommitError),
    /// The revision or the repository cannot be read.
    #[error("cannot take revision {rev:?} of {path}")]
    Git {
        /// The repository.
        path: String,
        /// What was asked for.
        rev: String,
        /// What libgit2 said.
        #[source]
        source: git2::Error,
    },
    /// No base image is here and none can be pulled.
    #[error("there is no base image: {base} is not on this machine, and {public} cannot be pulled")]
    NoBase {
        /// The local one.
        base: String,
        /// The public one.
        public: String,
        /// What the registry said.
        #[source]
        source: SandboxError,
    },
    /// The base image has another Python.
    #[error("{base} has Python {found}, but {wanted} is wanted")]
    Python {
        /// The base image.
        base: String,
        /// Its version.
        found: String,
        /// The version asked for.
        wanted: String,
    },
    /// A step inside the build container failed.
    #[error("{step} failed for {image}:\n{log}")]
    Step {
        /// Which step.
        step: &'static str,
        /// Which image.
        image: String,
        /// The end of its output.
        log: String,
    },
    /// The engine failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Files on this machine.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The user stopped it.
    #[error("stopped")]
    Cancelled,
}

impl ImageError {
    /// The way out, where there is a known one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoBase { .. } => {
                Some("make a base image without a registry: `sudo bash docker/base.sh`".to_owned())
            }
            Self::Python { wanted, .. } => Some(format!(
                "leave the version out, or build where a registry answers and remove the local base \
                 image, so that a public image with Python {wanted} is taken"
            )),
            Self::Step { step: "the installation of requirements", .. } => Some(
                "is the package index reachable? pip's own settings (PIP_INDEX_URL, pip.conf, \
                 proxies, PIP_CERT) are handed on to the build"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
