//! A session on one of several hosts: it ends when the host is lost.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::sandbox::docker::host::Stay;
use crate::sandbox::docker::session::DockerSession;
use crate::sandbox::{ExecOutput, ExecRequest, SandboxError, Session, Upload};

/// A container, and the place that it takes.
pub(super) struct FleetSession {
    /// Absent once closed.
    session: Option<DockerSession>,
    stay: Stay,
}

impl FleetSession {
    pub(super) fn new(session: DockerSession, stay: Stay) -> Self {
        Self { session: Some(session), stay }
    }

    fn session(&self) -> &DockerSession {
        self.session.as_ref().expect("it is taken by `close` and `drop` only")
    }

    /// Waits for a call, or for the loss of the host.
    async fn on_host<T>(
        &self,
        call: impl Future<Output = Result<T, SandboxError>> + Send,
    ) -> Result<T, SandboxError> {
        let done = tokio::select! {
            biased;
            done = call => done,
            () = self.stay.lost() => Err(self.stay.host().gone()),
        };
        done.map_err(|error| self.judged(error))
    }

    /// Whether a failure is the host's.
    fn judged(&self, error: SandboxError) -> SandboxError {
        let certain = match &error {
            SandboxError::Engine { .. } => {
                self.stay.fleet().lost(self.stay.host(), self.stay.visit, &error);
                true
            }
            _ if self.stay.is_lost() => true,
            // An engine that is shut down ends its containers before it stops to answer.
            SandboxError::Ended { .. } if !self.session().is_spent() => false,
            _ => return error,
        };
        let host = self.stay.host().address.clone();
        SandboxError::HostLost { host, certain, source: Box::new(error) }
    }

    /// Leaves the container to the host's return.
    fn abandon(&self, session: &DockerSession) {
        self.stay.host().abandon(session.container().clone());
    }
}

#[async_trait]
impl Session for FleetSession {
    fn workdir(&self) -> &str {
        self.session().workdir()
    }

    fn scratch(&self) -> &str {
        self.session().scratch()
    }

    fn turns(&self) -> Option<Arc<Semaphore>> {
        Some(Arc::clone(&self.stay.host().turns))
    }

    async fn upload(&self, files: &[Upload]) -> Result<(), SandboxError> {
        self.on_host(self.session().upload(files)).await
    }

    async fn exec(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError> {
        self.on_host(self.session().exec(request)).await
    }

    async fn exec_next(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError> {
        self.on_host(self.session().exec_next(request)).await
    }

    async fn close(mut self: Box<Self>) {
        let Some(session) = self.session.take() else { return };
        let container = session.container().clone();
        tokio::select! {
            () = Box::new(session).close() => {}
            () = self.stay.lost() => {}
        }
        // A removal that failed and one that was not waited for look alike; again is harmless.
        if self.stay.is_lost() {
            self.stay.host().abandon(container);
        }
    }
}

impl Drop for FleetSession {
    fn drop(&mut self) {
        if let Some(session) = self.session.take()
            && self.stay.is_lost()
        {
            self.abandon(&session);
        }
    }
}
