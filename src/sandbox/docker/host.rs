//! One of several engines: whether it is there, how much of its room is taken.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};

use crate::sandbox::docker::fleet::Inner;
use crate::sandbox::docker::{Container, DockerSandbox};
use crate::sandbox::{Limits, SandboxError};

/// A host of a fleet.
pub(super) struct Host {
    pub(super) address: String,
    state: Mutex<State>,
    /// Permits to work there, as many as it has room for.
    pub(super) turns: Arc<Semaphore>,
    /// The number of the visit that is under way or comes next: it grows whenever the host is lost.
    visit: watch::Sender<u64>,
}

struct State {
    /// Present while the host is there.
    docker: Option<Arc<DockerSandbox>>,
    told: String,
    slots: usize,
    /// Sessions there, and places taken for them.
    running: usize,
    /// Looks in a row without an answer in time.
    silent: u32,
    /// Images that it does not have and cannot get.
    lacking: HashSet<String>,
    /// Containers that were there when the host was lost.
    abandoned: Vec<Container>,
}

impl Host {
    pub(super) fn new(address: String) -> Self {
        let state = State {
            docker: None,
            told: format!("{address} (not there)"),
            slots: 0,
            running: 0,
            silent: 0,
            lacking: HashSet::new(),
            abandoned: Vec::new(),
        };
        let turns = Arc::new(Semaphore::new(0));
        Self { address, state: Mutex::new(state), turns, visit: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It answers: sessions may start there.
    pub(super) fn arrive(&self, docker: DockerSandbox, limits: &Limits) {
        let slots = docker.engine().slots(limits);
        let mut state = self.state();
        // An engine may come back with more cores; with fewer it is not worth taking permits away.
        self.turns.add_permits(slots.saturating_sub(state.slots));
        state.slots = state.slots.max(slots);
        state.told = format!("{}, room for {}", docker.engine().told(), state.slots);
        state.silent = 0;
        state.lacking.clear();
        state.docker = Some(Arc::new(docker));
    }

    /// It does not answer: whoever is there learns it. Whether this is news.
    pub(super) fn lose(&self, visit: u64) -> bool {
        let mut state = self.state();
        if state.docker.is_none() || *self.visit.borrow() != visit {
            return false;
        }
        state.docker = None;
        self.visit.send_replace(visit + 1);
        true
    }

    pub(super) fn is_there(&self) -> bool {
        self.state().docker.is_some()
    }

    /// The sandbox there and the visit's number, while the host is there.
    pub(super) fn visited(&self) -> Option<(Arc<DockerSandbox>, u64)> {
        let state = self.state();
        state.docker.clone().map(|docker| (docker, *self.visit.borrow()))
    }

    pub(super) fn told(&self) -> String {
        self.state().told.clone()
    }

    /// Sessions that can work there at the same time; 0 if it was never there.
    pub(super) fn slots(&self) -> usize {
        self.state().slots
    }

    /// The part of its room that is taken with one more session, larger by much if it lacks the
    /// image; `None` while it is not there.
    pub(super) fn load(&self, image: &str) -> Option<f64> {
        let state = self.state();
        state.docker.as_ref()?;
        let load = (state.running + 1) as f64 / state.slots.max(1) as f64;
        Some(if state.lacking.contains(image) { load + 1e9 } else { load })
    }

    /// Notes that an image cannot be had there; whether this is news.
    pub(super) fn lacks(&self, image: &str) -> bool {
        self.state().lacking.insert(image.to_owned())
    }

    /// It answered a look.
    pub(super) fn well(&self) {
        self.state().silent = 0;
    }

    /// It failed a look. One that is only slow is given more of them.
    pub(super) fn is_silent(&self, patience: u32, error: &SandboxError) -> bool {
        let slow = std::error::Error::source(error)
            .is_some_and(|cause| cause.is::<tokio::time::error::Elapsed>());
        let mut state = self.state();
        state.silent += 1;
        !slow || state.silent >= patience
    }

    /// Containers to remove once it is back.
    pub(super) fn abandoned(&self) -> Vec<Container> {
        std::mem::take(&mut self.state().abandoned)
    }

    pub(super) fn abandon(&self, container: Container) {
        self.state().abandoned.push(container);
    }

    /// What a call that it will not answer any more fails with.
    pub(super) fn gone(&self) -> SandboxError {
        SandboxError::Engine {
            host: self.address.clone(),
            source: Box::new(std::io::Error::other("it does not answer any more")),
        }
    }
}

/// A place taken on a host, given back when dropped.
pub(super) struct Stay {
    fleet: Arc<Inner>,
    pub(super) index: usize,
    pub(super) docker: Arc<DockerSandbox>,
    pub(super) visit: u64,
}

impl Stay {
    /// `None` if the host is not there any more.
    pub(super) fn take(fleet: &Arc<Inner>, index: usize) -> Option<Self> {
        let host = fleet.hosts.get(index)?;
        let (docker, visit) = host.visited()?;
        host.state().running += 1;
        Some(Self { fleet: Arc::clone(fleet), index, docker, visit })
    }

    pub(super) fn fleet(&self) -> &Inner {
        &self.fleet
    }

    pub(super) fn host(&self) -> &Host {
        self.fleet.host(self)
    }

    /// Whether the host was lost since.
    pub(super) fn is_lost(&self) -> bool {
        *self.host().visit.borrow() != self.visit
    }

    /// Ends when the host is lost.
    pub(super) async fn lost(&self) {
        let mut visit = self.host().visit.subscribe();
        // The sender lives as long as this value does.
        let _ = visit.wait_for(|visit| *visit != self.visit).await;
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut state = self.host().state();
        state.running = state.running.saturating_sub(1);
    }
}
