//! All of the outside that a stage may touch.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, Exhausted};
use crate::embed::Embeddings;
use crate::event::Events;
use crate::index::IndexCache;
use crate::llm::ModelClient;
use crate::queue::{Pass, Place, Queue};
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
    /// What may be spent, and until when.
    pub budget: Arc<Budget>,
    /// Number of the instance in the order in which the run takes them up; sessions go to the
    /// oldest first.
    pub age: u64,
}

/// Why no work may be begun.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// The run is being stopped.
    #[error("cancelled")]
    Cancelled,
    /// The deadline is over.
    #[error(transparent)]
    Late(Exhausted),
}

/// Bounds on sessions. Twice as many as may work may exist, so that the next ones are made, and
/// the last ones removed, while others work: making a container takes as long as many a test.
#[derive(Debug)]
pub struct Sessions {
    existing: Queue,
    working: Queue,
}

impl Sessions {
    /// Lets `working` sessions work at the same time.
    #[must_use]
    pub fn new(working: NonZeroUsize) -> Self {
        Self {
            existing: Queue::new(working.get().saturating_mul(2)),
            working: Queue::new(working.get()),
        }
    }
}

/// The right to work in a session.
#[derive(Debug)]
pub struct Turn {
    _of_all: Pass,
    /// One of the session's host, where there are several.
    of_host: Option<OwnedSemaphorePermit>,
}

impl Tools {
    /// Waits for the right to start a session; held until the session is closed.
    ///
    /// # Errors
    /// [`Stopped`] when the run is being stopped, or the deadline is over.
    pub async fn may_start(&self) -> Result<Pass, Stopped> {
        self.unless_stopped(self.sessions.existing.enter(Place::of_age(self.age))).await
    }

    /// Waits for the right to work in a session that has started; held while it works. Whoever
    /// waits for it holds [`Tools::may_start`] already, and never the other way round.
    ///
    /// # Errors
    /// [`Stopped`] when the run is being stopped, or the deadline is over.
    pub async fn may_work(&self, session: &dyn Session) -> Result<Turn, Stopped> {
        let place = Place::of_age(self.age);
        let of_all = self.unless_stopped(self.sessions.working.enter(place)).await?;
        let mut turn = Turn { _of_all: of_all, of_host: None };
        self.moved(&mut turn, session).await?;
        Ok(turn)
    }

    /// Waits until work may go on in another session, which may be on another host.
    ///
    /// # Errors
    /// [`Stopped`] when the run is being stopped, or the deadline is over.
    pub async fn moved(&self, turn: &mut Turn, session: &dyn Session) -> Result<(), Stopped> {
        // Given back first: nobody holds one host's while waiting for another's.
        turn.of_host = None;
        if let Some(turns) = session.turns() {
            let permit = self.unless_stopped(turns.acquire_owned()).await?;
            turn.of_host = Some(permit.map_err(|_| Stopped::Cancelled)?);
        }
        Ok(())
    }

    /// Whether a test may be begun in a session that works.
    ///
    /// # Errors
    /// [`Stopped`] when the run is being stopped, or the deadline is over.
    pub fn may_go_on(&self) -> Result<(), Stopped> {
        if self.cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        self.budget.in_time().map_err(Stopped::Late)
    }

    async fn unless_stopped<T>(&self, wait: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Stopped::Cancelled),
            why = self.budget.until_late() => Err(Stopped::Late(why)),
            done = wait => Ok(done),
        }
    }
}
