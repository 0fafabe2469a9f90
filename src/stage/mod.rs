//! The five verbs, in reading order. Siblings never import one another.

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use crate::artifact::Cause;
use crate::budget::Exhausted;
use crate::llm::{Completion, ModelError, ModelRequest};
use crate::repo::RepoError;
use crate::sandbox::SandboxError;
use crate::tools::{Stopped, Tools};

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
    /// The deadline is over.
    #[error(transparent)]
    Late(Exhausted),
    /// The run is being stopped.
    #[error("cancelled")]
    Cancelled,
}

impl From<Stopped> for StageError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Cancelled => Self::Cancelled,
            Stopped::Late(why) => Self::Late(why),
        }
    }
}

impl StageError {
    /// Whose fault it is.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Model(ModelError::Budget(_)) | Self::Late(_) => Cause::Budget,
            Self::Model(ModelError::ContextOverflow { .. }) => Cause::Model,
            _ => Cause::Infra,
        }
    }

    /// What the user can do about it; empty where nothing simple mends it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Model(error) => error.hint(),
            Self::Late(why) => why.hint(),
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
    make: impl FnMut(usize) -> (ModelRequest, T),
) -> Result<(Vec<Completion>, T), StageError> {
    ask_within_each(tools, budget, make, &|_| ()).await
}

/// As [`ask_within`]; calls `each` with each completion as soon as all samples before it have come
/// too, thus in order. Completions of a prompt that is given up as too long may be among them.
///
/// # Errors
/// As [`ask_within`].
pub(crate) async fn ask_within_each<T>(
    tools: &Tools,
    budget: &mut usize,
    mut make: impl FnMut(usize) -> (ModelRequest, T),
    each: &(dyn Fn(&Completion) + Sync),
) -> Result<(Vec<Completion>, T), StageError> {
    loop {
        let (request, beside) = make(*budget);
        let replies = in_order(tools, &request, each).await;
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

/// All replies, in order of the samples; `each` sees those before the first failure as they come.
async fn in_order(
    tools: &Tools,
    request: &ModelRequest,
    each: &(dyn Fn(&Completion) + Sync),
) -> Vec<Result<Completion, ModelError>> {
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    let asked = tools.model.stream(request, sender);
    let sorted = async {
        let (mut replies, mut next) = (BTreeMap::new(), request.samples.start);
        while let Some((sample, reply)) = arrivals.recv().await {
            let completion = reply.map(|reply| reply.completion(sample, false));
            replies.insert(sample, completion);
            loop {
                match replies.get(&next) {
                    Some(Ok(completion)) => each(completion),
                    // A recording may lack a sample; what comes after it is as good.
                    Some(Err(ModelError::NotRecorded { .. })) => {}
                    _ => break,
                }
                next += 1;
            }
        }
        replies.into_values().collect()
    };
    let ((), replies) = tokio::join!(asked, sorted);
    replies
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
