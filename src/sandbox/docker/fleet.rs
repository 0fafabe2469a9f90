//! [`Sandbox`] over several engines: a session starts on the one with the most room, and work whose
//! host is lost finds another.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::artifact::InstanceId;
use crate::event::{Events, with_causes};
use crate::sandbox::docker::fleet_session::FleetSession;
use crate::sandbox::docker::host::{Host, Stay};
use crate::sandbox::docker::{DockerSandbox, Engine};
use crate::sandbox::{
    Environment, EnvironmentSpec, Limits, Origin, Sandbox, SandboxConfig, SandboxError, Session,
};

/// Wait between two looks at the hosts.
const BEAT: Duration = Duration::from_secs(3);

/// How often a host may fail to answer in time before it counts as lost. One that refuses a call
/// is lost at once.
const PATIENCE: u32 = 4;

/// How long the last tidying of a host that was lost may take.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Several engines.
pub struct Fleet {
    inner: Arc<Inner>,
    watch: JoinHandle<()>,
}

pub(super) struct Inner {
    pub(super) hosts: Vec<Host>,
    /// Choosing a host and taking a place is one step: two at a time would choose the same.
    choosing: Mutex<()>,
    config: SandboxConfig,
    run: String,
    events: Events,
}

impl Fleet {
    /// On the engines that the settings name. One that does not answer counts as lost.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] if none answers.
    pub async fn connect(
        config: SandboxConfig,
        run: &str,
        events: Events,
    ) -> Result<Self, SandboxError> {
        let hosts = config.hosts().into_iter().map(Host::new).collect();
        let inner = Arc::new(Inner {
            hosts,
            choosing: Mutex::default(),
            config,
            run: run.to_owned(),
            events,
        });
        let found = join_all(inner.hosts.iter().map(|host| inner.find(host))).await;
        if inner.hosts.iter().all(|host| !host.is_there()) {
            let first = found.into_iter().find_map(Result::err);
            return Err(first.unwrap_or_else(|| inner.all_lost()));
        }
        for (host, found) in inner.hosts.iter().zip(found) {
            if let Err(error) = found {
                let why = with_causes(&error);
                inner.events.notice(format!("{}: {why}; it is tried again", host.address));
            }
        }
        let watched = Arc::downgrade(&inner);
        let watch = tokio::spawn(async move { watch(&watched).await });
        Ok(Self { inner, watch })
    }

    /// Each host with its version and room.
    #[must_use]
    pub fn told(&self) -> String {
        let hosts: Vec<String> = self.inner.hosts.iter().map(Host::told).collect();
        format!("docker on {} hosts: {}", hosts.len(), hosts.join("; "))
    }

    fn search<'a>(&'a self, key: &'a str) -> Search<'a> {
        Search { inner: &self.inner, key, tried: Vec::new(), first: None }
    }
}

/// A search for a host that can do something with an image.
struct Search<'a> {
    inner: &'a Arc<Inner>,
    key: &'a str,
    tried: Vec<usize>,
    /// The first failure, which is told if no host can.
    first: Option<SandboxError>,
}

impl Search<'_> {
    /// The next host to try.
    ///
    /// # Errors
    /// The first failure once all have been tried.
    fn next(&mut self) -> Result<Stay, SandboxError> {
        let Some(stay) = self.inner.choose(self.key, &self.tried) else {
            return Err(self.first.take().unwrap_or_else(|| self.inner.all_lost()));
        };
        self.tried.push(stay.index);
        Ok(stay)
    }

    /// What it gives there; `None` if another host is to be tried.
    ///
    /// # Errors
    /// What no other host would do better.
    async fn on<T>(
        &mut self,
        stay: &Stay,
        work: impl Future<Output = Result<T, SandboxError>> + Send,
    ) -> Result<Option<T>, SandboxError> {
        let done = tokio::select! {
            done = work => done,
            () = stay.lost() => Err(stay.host().gone()),
        };
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error) => {
                self.inner.passed_over(stay, self.key, error, &mut self.first)?;
                Ok(None)
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Inner {
    pub(super) fn host(&self, stay: &Stay) -> &Host {
        &self.hosts[stay.index]
    }

    /// A place on the host with the smallest part of its room taken, the first of equals; those
    /// that are known not to have the image come last.
    fn choose(self: &Arc<Self>, key: &str, tried: &[usize]) -> Option<Stay> {
        let _choosing = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self.hosts.iter().enumerate().filter(|(index, _)| !tried.contains(index));
        let rated = open.filter_map(|(index, host)| Some((host.load(key)?, index)));
        let (_, index) = rated.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        Stay::take(self, index)
    }

    /// Whether another host may be tried after this failure; the first failure is kept.
    fn passed_over(
        &self,
        stay: &Stay,
        key: &str,
        error: SandboxError,
        first: &mut Option<SandboxError>,
    ) -> Result<(), SandboxError> {
        let host = self.host(stay);
        match &error {
            SandboxError::Engine { .. } => {
                self.lost(host, stay.visit, &error);
                return Ok(());
            }
            SandboxError::ImageMissing { image, .. } => {
                if self.hosts.len() > 1 && host.lacks(key) {
                    self.events.notice(format!(
                        "{}: image {image} cannot be had there; other hosts are preferred for it",
                        host.address
                    ));
                }
            }
            // A host with a full disk, say, must not eat all the work by failing fast.
            SandboxError::Call { .. } => {}
            // The instance's own, wherever it runs.
            _ => return Err(error),
        }
        first.get_or_insert(error);
        Ok(())
    }

    /// A host does not answer any more, as somebody saw who has been there since `visit`.
    pub(super) fn lost(&self, host: &Host, visit: u64, error: &SandboxError) {
        if host.lose(visit) {
            let why = with_causes(error);
            self.events.notice(format!(
                "lost the container host {}, its work is done again elsewhere: {why}",
                host.address
            ));
        }
    }

    fn all_lost(&self) -> SandboxError {
        let hosts: Vec<&str> = self.hosts.iter().map(|host| host.address.as_str()).collect();
        SandboxError::Engine {
            host: hosts.join(", "),
            source: Box::new(io::Error::other("all container hosts are lost")),
        }
    }

    /// Looks for a host that is not there.
    async fn find(&self, host: &Host) -> Result<(), SandboxError> {
        let engine = Engine::connect_to(&host.address).await?.for_run(&self.run);
        for container in host.abandoned() {
            let container = container.on(&engine);
            container.remove().await;
        }
        if let Some(unkept) = engine.unkept() {
            self.events.notice(unkept);
        }
        // Anew, with nothing prepared: an engine that was away may have lost its images.
        let docker = DockerSandbox::new(engine, self.config.clone(), self.events.clone()).await?;
        host.arrive(docker, &self.config.limits());
        Ok(())
    }

    /// Whether a host that was there still is, and whether one that was lost is back.
    async fn look(&self, host: &Host) {
        let Some((docker, visit)) = host.visited() else {
            if self.find(host).await.is_ok() {
                self.events.notice(format!("the container host {} is back", host.address));
            }
            return;
        };
        match docker.engine().answer().await {
            Ok(()) => host.well(),
            Err(error) if host.is_silent(PATIENCE, &error) => self.lost(host, visit, &error),
            Err(_) => {}
        }
    }
}

/// Looks at the hosts as long as there is a fleet.
async fn watch(fleet: &Weak<Inner>) {
    loop {
        tokio::time::sleep(BEAT).await;
        let Some(inner) = fleet.upgrade() else { return };
        join_all(inner.hosts.iter().map(|host| inner.look(host))).await;
    }
}

/// What an environment needs of a host, as far as a host may lack it.
fn key(image: Option<&str>) -> &str {
    // Trees are built on one base image, whichever tree it is.
    image.unwrap_or("the base of trees")
}

#[async_trait]
impl Sandbox for Fleet {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        let mut search = self.search(key(spec.image.as_deref()));
        loop {
            let stay = search.next()?;
            if let Some(done) = search.on(&stay, stay.docker.prepare(spec)).await? {
                return Ok(Environment { origin: Some(Origin(Arc::new(spec.clone()))), ..done });
            }
        }
    }

    async fn start(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<Box<dyn Session>, SandboxError> {
        let Some(Origin(spec)) = &environment.origin else {
            return Err(environment.foreign());
        };
        let mut search = self.search(key(spec.image.as_deref()));
        loop {
            let stay = search.next()?;
            let work = async {
                // At once where it is prepared already.
                let here = stay.docker.prepare(spec).await?;
                stay.docker.begin(&here, limits).await
            };
            if let Some(session) = search.on(&stay, work).await? {
                return Ok(Box::new(FleetSession::new(session, stay)));
            }
        }
    }

    async fn export_repository(
        &self,
        instance: &InstanceId,
        image: &str,
        into: &Path,
    ) -> Result<(), SandboxError> {
        let mut search = self.search(image);
        loop {
            let stay = search.next()?;
            let work = stay.docker.export_repository(instance, image, into);
            if let Some(done) = search.on(&stay, work).await? {
                return Ok(done);
            }
        }
    }

    fn slots(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.inner.hosts.iter().map(Host::slots).sum())
    }

    async fn sweep(&self) {
        join_all(self.inner.hosts.iter().map(async |host| match host.visited() {
            Some((docker, _)) => docker.sweep().await,
            None => {
                // It may be there again since the last look.
                let _ = tokio::time::timeout(LAST_WORDS, async {
                    let engine = Engine::connect_to(&host.address).await?.for_run(&self.inner.run);
                    engine.sweep(true).await
                })
                .await;
            }
        }))
        .await;
    }
}
