//! All of the outside that a stage may touch.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::event::Events;
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
    /// One permit for each session that may run at the same time, over all instances.
    pub sessions: Arc<Semaphore>,
    /// Where events go.
    pub events: Events,
    /// Set when the run is being stopped.
    pub cancel: CancellationToken,
}

/// The run is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

impl Tools {
    /// Waits for the right to run one session; released when the permit is dropped.
    ///
    /// # Errors
    /// [`Cancelled`] when the run is being stopped.
    pub async fn permit(&self) -> Result<OwnedSemaphorePermit, Cancelled> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Cancelled),
            permit = Arc::clone(&self.sessions).acquire_owned() => permit.map_err(|_| Cancelled),
        }
    }
}
