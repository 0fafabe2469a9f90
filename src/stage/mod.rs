//! The five verbs, in reading order. Siblings never import one another.

use crate::artifact::Cause;
use crate::llm::{Completion, ModelError, ModelRequest};
use crate::repo::RepoError;
use crate::sandbox::SandboxError;
use crate::tools::{Cancelled, Tools};

pub mod execute;
pub mod localize;
pub mod repair;
pub mod reproduce;
pub mod rerank;

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
    /// A bug of ours: a task of the stage ended by panic.
    #[error("internal error: {0}")]
    Internal(String),
    /// The settings say that the ranking is handed in, and it was not.
    #[error("no localization was handed in for this instance, as `localize.localizer` says")]
    NotGiven,
    /// The run is being stopped.
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for StageError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
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

    /// What the user can do about it; empty where nothing simple mends it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Model(error) => error.hint(),
            Self::Sandbox(error) => error.hint(),
            Self::NotGiven => "give the same --localizer or --localization again",
            _ => "",
        }
    }

    /// Whether the run is being stopped, which is no failure of the instance.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Model(ModelError::Cancelled))
    }
}

/// Below this many tokens of files a smaller prompt is no longer tried with files at all.
const LEAST_CONTEXT: usize = 1000;

/// Asks with as many tokens of files as the model takes: `make` builds the request for a budget,
/// which is halved, and in the end 0, whenever the model says that the prompt is too long. Gives
/// the completions and what `make` gave beside the request that was answered, and leaves the budget
/// that was taken.
///
/// # Errors
/// As [`completions`]; [`ModelError::ContextOverflow`] when the prompt is too long without files.
pub(crate) async fn ask_within<T>(
    tools: &Tools,
    budget: &mut usize,
    mut make: impl FnMut(usize) -> (ModelRequest, T),
) -> Result<(Vec<Completion>, T), StageError> {
    loop {
        let (request, beside) = make(*budget);
        let replies = tools.model.complete(&request).await;
        let overflow = replies.iter().find_map(|reply| match reply {
            Err(ModelError::ContextOverflow { detail, .. }) => Some(detail),
            _ => None,
        });
        match overflow {
            Some(detail) if *budget > 0 => {
                *budget = if *budget < LEAST_CONTEXT { 0 } else { *budget / 2 };
                tools.events.notice(format!(
                    "the {} prompt does not fit the model ({detail}); trying again with {budget} \
                     tokens of files",
                    request.call.name()
                ));
            }
            _ => return Ok((completions(tools, replies)?, beside)),
        }
    }
}

/// The completions of a request. A sample that a replay does not hold is left out, with a notice:
/// a recording may be shorter than the settings ask for.
///
/// # Errors
/// The first failure, cancellation before all others: a stage that lacks samples because the
/// endpoint failed is not finished, and what was answered lies in the journal.
pub(crate) fn completions(
    tools: &Tools,
    replies: Vec<Result<Completion, ModelError>>,
) -> Result<Vec<Completion>, StageError> {
    let asked = replies.len();
    let mut completions = Vec::with_capacity(asked);
    let mut missing = None;
    let mut failed: Option<ModelError> = None;
    for reply in replies {
        match reply {
            Ok(completion) => completions.push(completion),
            Err(error @ ModelError::NotRecorded { .. }) => missing = Some(error),
            Err(ModelError::Cancelled) => return Err(StageError::Cancelled),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    match missing {
        Some(error) if completions.is_empty() && asked > 0 => Err(error.into()),
        Some(ModelError::NotRecorded { call, .. }) => {
            let held = completions.len();
            tools
                .events
                .notice(format!("the recording holds {held} of the {asked} {call} samples"));
            Ok(completions)
        }
        _ => Ok(completions),
    }
}
