//! [`Sandbox`] over containers: environments are images, a session is a fresh container.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::artifact::InstanceId;
use crate::event::Events;
use crate::sandbox::capture::end_of;
use crate::sandbox::docker::engine::is_transient;
use crate::sandbox::docker::tree_image::TREE_LABEL;
use crate::sandbox::docker::{Container, ContainerSpec, Engine, ExecSpec};
use crate::sandbox::script::{STRIP_HISTORY, TESTBED};
use crate::sandbox::{
    Environment, EnvironmentSpec, ExecOutput, ExecRequest, ExecStatus, Limits, PullPolicy, Sandbox,
    SandboxConfig, SandboxError, Session, Upload,
};

const SCRATCH: &str = "/tmp/agent";

/// Waits between attempts of a pull that failed for a passing reason.
const PULL_WAITS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(15)];

/// Sessions in containers.
pub struct DockerSandbox {
    pub(super) engine: Engine,
    pub(super) config: SandboxConfig,
    events: Events,
    /// One cell an environment, so that calls at the same time share the work.
    prepared: Mutex<HashMap<String, Arc<OnceCell<Prepared>>>>,
}

#[derive(Clone)]
struct Prepared {
    image: String,
    digest: Option<String>,
}

impl DockerSandbox {
    /// On an engine that answers. Containers of processes that have ended on this machine are
    /// removed first.
    ///
    /// # Errors
    /// [`SandboxError`] if the engine does not answer any more.
    pub async fn new(
        engine: Engine,
        config: SandboxConfig,
        events: Events,
    ) -> Result<Self, SandboxError> {
        let swept = engine.sweep(false).await?;
        if swept > 0 {
            events.notice(format!("removed {swept} containers that an ended process had left"));
        }
        Ok(Self { engine, config, events, prepared: Mutex::default() })
    }

    /// The engine in use.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Pulls an image, with a few attempts where the cause may pass.
    pub(super) async fn pull(
        &self,
        instance: &InstanceId,
        reference: &str,
    ) -> Result<(), SandboxError> {
        if self.config.pull == PullPolicy::Never {
            return Err(SandboxError::ImageMissing {
                image: reference.to_owned(),
                detail: "sandbox.pull is `never`".to_owned(),
            });
        }
        let events = self.events.of(instance);
        events.notice(format!("pulling image {reference}"));
        let mut waits = PULL_WAITS.iter();
        loop {
            match self.engine.pull(reference, &|_| {}).await {
                Err(SandboxError::ImageMissing { image, detail }) if is_transient(&detail) => {
                    let Some(wait) = waits.next() else {
                        return Err(SandboxError::ImageMissing { image, detail });
                    };
                    events.notice(format!("pulling {reference} again after: {detail}"));
                    tokio::time::sleep(*wait).await;
                }
                done => return done,
            }
        }
    }

    async fn prepare_once(&self, spec: &EnvironmentSpec) -> Result<Prepared, SandboxError> {
        let image = match &spec.image {
            Some(image) => {
                if self.engine.image(image).await?.is_none() {
                    self.pull(&spec.instance, image).await?;
                }
                image.clone()
            }
            None => self.tree_image(spec).await?,
        };
        let info = self.engine.image(&image).await?.ok_or_else(|| SandboxError::ImageMissing {
            image: image.clone(),
            detail: "it was here a moment ago and is gone".to_owned(),
        })?;
        Ok(Prepared { digest: Some(info.digest.unwrap_or(info.id)), image })
    }

    fn container_spec(&self, image: &str, instance: &InstanceId, limits: &Limits) -> ContainerSpec {
        let mut spec = ContainerSpec::new(image, instance.clone(), limits.clone());
        self.config.network.clone_into(&mut spec.network);
        self.config.capabilities.clone_into(&mut spec.capabilities);
        spec.shm_bytes = self.config.shm_mib << 20;
        spec.open_files = self.config.open_files;
        spec
    }
}

#[async_trait]
impl Sandbox for DockerSandbox {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        let key = match &spec.image {
            Some(image) => format!("image {image}"),
            None => format!("tree {} {}", spec.tree.id(), spec.install.as_deref().unwrap_or("")),
        };
        let cell = {
            let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(prepared.entry(key).or_default())
        };
        let prepared = cell.get_or_try_init(|| self.prepare_once(spec)).await?.clone();
        Ok(Environment {
            instance: spec.instance.clone(),
            image: Some(prepared.image),
            digest: prepared.digest,
            root: None,
        })
    }

    async fn start(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<Box<dyn Session>, SandboxError> {
        let instance = &environment.instance;
        let setup = |detail: String| SandboxError::Setup { instance: instance.clone(), detail };
        let Some(image) = &environment.image else {
            return Err(setup("it was prepared by another kind of sandbox".to_owned()));
        };
        let container = self.engine.create(&self.container_spec(image, instance, limits)).await?;
        let session = DockerSession {
            container,
            output_bytes: limits.output_bytes,
            offline: self.config.network == "none",
            spent: AtomicBool::new(false),
            closed: false,
        };
        // Images of our own have one commit and nothing to strip.
        let ours =
            self.engine.image(image).await?.is_some_and(|i| i.labels.contains_key(TREE_LABEL));
        let script = if ours { "mkdir -p /tmp/agent" } else { STRIP_HISTORY };
        let begun = session.container.exec(&ExecSpec::script(script)).await?;
        if !begun.success() {
            let said = end_of(&begun.text(), 1000).to_owned();
            return Err(setup(format!("image {image} does not fit: {said}")));
        }
        Ok(Box::new(session))
    }

    async fn sweep(&self) {
        // What cannot be removed now ends itself when its life is over.
        let _ = self.engine.sweep(true).await;
    }
}

/// One container.
struct DockerSession {
    container: Container,
    output_bytes: usize,
    offline: bool,
    spent: AtomicBool,
    closed: bool,
}

impl DockerSession {
    fn check(&self) -> Result<(), SandboxError> {
        if self.spent.load(Ordering::Acquire) {
            return Err(SandboxError::Ended {
                instance: self.container.instance().clone(),
                detail: "a command ran into its limit, and the sandbox was ended with it"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Session for DockerSession {
    fn workdir(&self) -> &str {
        TESTBED
    }

    fn scratch(&self) -> &str {
        SCRATCH
    }

    async fn upload(&self, files: &[Upload]) -> Result<(), SandboxError> {
        self.check()?;
        // From the root, because an earlier command may have removed the scratch directory.
        let paths: Vec<String> =
            files.iter().map(|file| format!("{}/{}", &SCRATCH[1..], file.path)).collect();
        let entries: Vec<(&str, &[u8], bool)> = files
            .iter()
            .zip(&paths)
            .map(|(file, path)| (path.as_str(), file.content.as_slice(), file.executable))
            .collect();
        self.container.upload("/", &entries).await
    }

    async fn exec(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError> {
        self.check()?;
        let mut spec = ExecSpec::script(&request.script).activated().timeout(request.timeout);
        spec.output_bytes = self.output_bytes;
        if self.offline {
            // Without them pip retries for a minute before it fails; `0` is how it spells that
            // builds use what is installed.
            spec = spec.env("PIP_NO_INDEX", "1").env("PIP_NO_BUILD_ISOLATION", "0");
        }
        let output = self.container.exec(&spec).await?;
        if !matches!(output.status, ExecStatus::Exited(_)) {
            self.spent.store(true, Ordering::Release);
        }
        Ok(output)
    }

    async fn close(mut self: Box<Self>) {
        self.closed = true;
        self.container.remove().await;
    }
}

impl Drop for DockerSession {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        // Outside of a runtime the container's own life and the next sweep bound it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let container = self.container.clone();
            runtime.spawn(async move { container.remove().await });
        }
    }
}
