//! The five verbs, in reading order. Siblings never import one another.

use crate::artifact::Cause;
use crate::llm::ModelError;
use crate::repo::RepoError;
use crate::sandbox::SandboxError;

pub mod localize;

/// Why a stage could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The model could not be asked.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Code could not be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The repository could not be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
    /// A finished part could not be saved; `record` callbacks return this.
    #[error("cannot save a finished part")]
    Record(#[source] std::io::Error),
    /// The run is being stopped.
    #[error("cancelled")]
    Cancelled,
}

impl StageError {
    /// Whose fault it is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Model(ModelError::Budget { .. }) => Cause::Budget,
            Self::Model(ModelError::ContextOverflow { .. }) => Cause::Model,
            _ => Cause::Infra,
        }
    }

    /// Whether the run is being stopped, which is no failure of the instance.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Model(ModelError::Cancelled))
    }
}
