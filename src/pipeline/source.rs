//! Where an instance's repository comes from: a path, a directory of repositories, a clone, or the
//! instance's image.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::artifact::Instance;
use crate::event::Events;
use crate::event::with_causes;
use crate::pipeline::PipelineError;
use crate::repo::{self, Checkout};
use crate::stage::StageError;
use crate::tools::Tools;

/// Where an instance's repository is found.
#[derive(Debug, Clone)]
pub enum Source {
    /// This repository, whatever it is called.
    At(PathBuf),
    /// A directory of repositories, and the URL template to clone a missing one from.
    Among {
        /// Holds `owner__name` or `owner__name.git`.
        dir: PathBuf,
        /// With `{repo}` for `owner/name`; empty never clones.
        url: String,
    },
}

/// As [`checkout`]; a repository that can be had nowhere else is taken from the instance's image.
pub(super) async fn checkout_or_export(
    tools: &Tools,
    source: &Source,
    instance: &Instance,
) -> Result<Checkout, PipelineError> {
    let error = match checkout(source, instance, &tools.events, &tools.cancel).await {
        Err(PipelineError::Stage(error)) if error.is_cancelled() => return Err(error.into()),
        Err(error) => error,
        done => return done,
    };
    let (Source::Among { dir, .. }, Some(image)) = (source, &instance.image) else {
        return Err(error);
    };
    let into = dir.join("from-images").join(format!("{}.git", instance.id));
    if !into.exists() {
        tools
            .events
            .notice(format!("taking the repository from {image}, because {}", with_causes(&error)));
        tokio::select! {
            copied = tools.sandbox.export_repository(&instance.id, image, &into) => {
                // The first error says what a user would mend; the image was only the last resort.
                if copied.is_err() {
                    return Err(error);
                }
            }
            () = tools.cancel.cancelled() => return Err(StageError::Cancelled.into()),
        }
    }
    open(into, instance.base_commit.clone()).await
}

async fn open(path: PathBuf, commit: String) -> Result<Checkout, PipelineError> {
    tokio::task::spawn_blocking(move || Checkout::open(&path, &commit))
        .await
        .map_err(|error| PipelineError::Internal(error.to_string()))?
        .map_err(Into::into)
}

/// Finds or clones the repository and opens its base commit.
///
/// # Errors
/// [`PipelineError`] when there is no repository, or no such commit in it.
pub async fn checkout(
    source: &Source,
    instance: &Instance,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Checkout, PipelineError> {
    let path = match source {
        Source::At(path) => path.clone(),
        Source::Among { dir, url } => match repo::find(dir, &instance.repo) {
            Some(path) => path,
            None if url.is_empty() => {
                return Err(PipelineError::NotCloned {
                    repo: instance.repo.clone(),
                    dir: dir.display().to_string(),
                });
            }
            None => {
                let into = dir.join(format!("{}.git", instance.repo.replace('/', "__")));
                let url = repo::clone_url(url, &instance.repo)?;
                events.notice(format!("cloning {url}"));
                tokio::select! {
                    cloned = repo::clone(&url, &into, events) => cloned?,
                    () = cancel.cancelled() => return Err(StageError::Cancelled.into()),
                }
                into
            }
        },
    };
    open(path, instance.base_commit.clone()).await
}
