//! All of the outside that a stage may touch.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::event::Events;
use crate::index::IndexCache;
use crate::llm::ModelClient;
use crate::sandbox::Sandbox;

/// Model, sandbox, events and cancellation, bound to one instance. Cheap to clone; holds no
/// configuration, which each stage receives apart.
#[derive(Clone)]
pub struct Tools {
    /// The model.
    pub model: Arc<dyn ModelClient>,
    /// Where code runs.
    pub sandbox: Arc<dyn Sandbox>,
    /// What is known of repositories.
    pub index: Arc<IndexCache>,
    /// How many sessions there may be at the same time, over all instances.
    pub sessions: Arc<Sessions>,
    /// Where events go.
    pub events: Events,
    /// Set when the run is being stopped.
    pub cancel: CancellationToken,
}

/// The run is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Bounds on sessions. Twice as many as may work may exist, so that the next ones are made, and
/// the last ones removed, while others work: making a container takes as long as many a test.
#[derive(Debug)]
pub struct Sessions {
    existing: Arc<Semaphore>,
    working: Arc<Semaphore>,
}

impl Sessions {
    /// Lets `working` sessions work at the same time.
    #[must_use]
    pub fn new(working: NonZeroUsize) -> Self {
        Self {
            existing: Arc::new(Semaphore::new(working.get().saturating_mul(2))),
            working: Arc::new(Semaphore::new(working.get())),
        }
    }
}

impl Tools {
    /// Waits for the right to start a session; held until the session is closed.
    ///
    /// # Errors
    /// [`Cancelled`] when the run is being stopped.
    pub async fn may_start(&self) -> Result<OwnedSemaphorePermit, Cancelled> {
        self.permit(&self.sessions.existing).await
    }

    /// Waits for the right to work in a session that has started; held while it works. Whoever
    /// waits for it holds [`Tools::may_start`] already, and never the other way round.
    ///
    /// # Errors
    /// [`Cancelled`] when the run is being stopped.
    pub async fn may_work(&self) -> Result<OwnedSemaphorePermit, Cancelled> {
        self.permit(&self.sessions.working).await
    }

    async fn permit(&self, of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Cancelled> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Cancelled),
            permit = Arc::clone(of).acquire_owned() => permit.map_err(|_| Cancelled),
        }
    }
}
