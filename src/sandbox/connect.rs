//! Which sandbox a run gets, and what `auto` does.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::event::Events;
use crate::sandbox::docker::{DockerSandbox, Engine};
use crate::sandbox::{
    Environment, EnvironmentSpec, Limits, LocalSandbox, Sandbox, SandboxConfig, SandboxError,
    Session,
};

/// What the user asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// Containers if an engine answers, else local.
    #[default]
    Auto,
    /// Containers or an error.
    Docker,
    /// A throw-away copy on this machine.
    Local,
}

impl Choice {
    const NAMES: [(&str, Self); 3] =
        [("auto", Self::Auto), ("docker", Self::Docker), ("local", Self::Local)];
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            Self::NAMES.iter().find(|(_, choice)| choice == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Choice {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, choice)| *choice)
            .ok_or_else(|| format!("unknown sandbox {text:?}: expected auto, docker or local"))
    }
}

/// The sandbox of a run, and one line that says which it is and why. Leftovers of processes that
/// have ended on this machine are removed first.
///
/// # Errors
/// [`SandboxError::Engine`] if Docker was asked for and does not answer; [`SandboxError::Io`] if
/// the local sandbox cannot make its directory.
pub async fn connect(
    choice: Choice,
    config: SandboxConfig,
    run_id: &str,
    events: Events,
) -> Result<(Arc<dyn Sandbox>, String), SandboxError> {
    let local = |why: String| -> Result<(Arc<dyn Sandbox>, String), SandboxError> {
        let sandbox = LocalSandbox::new(config.clone(), events.clone())?;
        Ok((Arc::new(sandbox), why))
    };
    let engine = match choice {
        Choice::Local => return local("local, as asked".to_owned()),
        Choice::Docker => Engine::connect().await?,
        Choice::Auto => match Engine::connect().await {
            Ok(engine) => engine,
            Err(error) => return local(format!("local, because {error}")),
        },
    };
    let engine = engine.for_run(run_id);
    let version = engine.version().await?;
    let docker = DockerSandbox::new(engine, config.clone(), events.clone()).await?;
    let told = format!("docker {version} at {}", docker.engine().host());
    if choice == Choice::Docker {
        return Ok((Arc::new(docker), format!("{told}, as asked")));
    }
    let auto = AutoSandbox { docker, local: LocalSandbox::new(config, events.clone())?, events };
    Ok((Arc::new(auto), format!("{told}, because it answers")))
}

/// Containers; but an instance that names no image, on a machine where there is nothing to build
/// one on, runs locally.
struct AutoSandbox {
    docker: DockerSandbox,
    local: LocalSandbox,
    events: Events,
}

#[async_trait]
impl Sandbox for AutoSandbox {
    fn name(&self) -> &'static str {
        self.docker.name()
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        match self.docker.prepare(spec).await {
            Err(error @ SandboxError::ImageMissing { .. }) if spec.image.is_none() => {
                let events = self.events.of(&spec.instance);
                events.notice(format!("runs in the local sandbox, because {error}"));
                self.local.prepare(spec).await
            }
            done => done,
        }
    }

    async fn start(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<Box<dyn Session>, SandboxError> {
        if environment.root.is_some() {
            self.local.start(environment, limits).await
        } else {
            self.docker.start(environment, limits).await
        }
    }

    async fn sweep(&self) {
        self.docker.sweep().await;
        self.local.sweep().await;
    }
}
