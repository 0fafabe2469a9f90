//! All of the outside that a stage may touch.

use std::sync::Arc;

use tokio::sync::Semaphore;
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
