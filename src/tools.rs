//! All of the outside that a stage may touch.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::embed::Embeddings;
use crate::event::Events;
use crate::index::IndexCache;
use crate::llm::ModelClient;
use crate::sandbox::{Sandbox, Session};

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
    /// The embeddings server, where one is given.
    pub embeddings: Option<Arc<Embeddings>>,
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

/// The right to work in a session.
#[derive(Debug)]
pub struct Turn {
    _of_all: OwnedSemaphorePermit,
    /// One of the session's host, where there are several.
    of_host: Option<OwnedSemaphorePermit>,
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
    pub async fn may_work(&self, session: &dyn Session) -> Result<Turn, Cancelled> {
        let of_all = self.permit(&self.sessions.working).await?;
        let mut turn = Turn { _of_all: of_all, of_host: None };
        self.moved(&mut turn, session).await?;
        Ok(turn)
    }

    /// Waits until work may go on in another session, which may be on another host.
    ///
    /// # Errors
    /// [`Cancelled`] when the run is being stopped.
    pub async fn moved(&self, turn: &mut Turn, session: &dyn Session) -> Result<(), Cancelled> {
        // Given back first: nobody holds one host's while waiting for another's.
        turn.of_host = None;
        if let Some(turns) = session.turns() {
            turn.of_host = Some(self.permit(&turns).await?);
        }
        Ok(())
    }

    async fn permit(&self, of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Cancelled> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Cancelled),
            permit = Arc::clone(of).acquire_owned() => permit.map_err(|_| Cancelled),
        }
    }
}
