//! Which sandbox a run gets, and what `auto` does.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::artifact::InstanceId;
use crate::event::Events;
use crate::sandbox::docker::{DockerSandbox, Engine, Fleet};
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
    if choice == Choice::Local {
        return local("local, as asked".to_owned());
    }
    let (docker, told) = match containers(&config, run_id, &events).await {
        Ok(connected) => connected,
        // Whoever names a host does not want model-written code to run here instead.
        Err(error @ SandboxError::Engine { .. })
            if choice == Choice::Auto && config.docker_hosts.is_empty() =>
        {
            return local(format!("local, because {error}"));
        }
        Err(error) => return Err(error),
    };
    if choice == Choice::Docker {
        return Ok((docker, format!("{told}, as asked")));
    }
    let auto = AutoSandbox {
        docker,
        local: LocalSandbox::new(config, events.clone())?,
        events,
        no_base: AtomicBool::new(false),
    };
    Ok((Arc::new(auto), format!("{told}, because it answers")))
}

/// Removes what processes that have ended on this machine left of their sandboxes. Answers how many
/// containers and directories that were.
///
/// # Errors
/// [`SandboxError::Engine`] if an engine may hold some and does not answer.
pub async fn remove_leftovers(
    choice: Choice,
    config: &SandboxConfig,
) -> Result<usize, SandboxError> {
    let directories = match choice {
        Choice::Docker => 0,
        Choice::Auto | Choice::Local => LocalSandbox::remove_leftovers(),
    };
    let mut removed = directories;
    if choice != Choice::Local {
        for host in config.hosts() {
            removed += Engine::connect_to(&host).await?.sweep(false).await?;
        }
    }
    Ok(removed)
}

/// Containers on the engine or engines that the settings name, and what they are.
async fn containers(
    config: &SandboxConfig,
    run_id: &str,
    events: &Events,
) -> Result<(Arc<dyn Sandbox>, String), SandboxError> {
    if config.docker_hosts.len() > 1 {
        let fleet = Fleet::connect(config.clone(), run_id, events.clone()).await?;
        let told = fleet.told();
        return Ok((Arc::new(fleet), told));
    }
    let engine = match config.docker_hosts.first() {
        Some(host) => Engine::connect_to(host).await?,
        None => Engine::connect().await?,
    };
    let docker = DockerSandbox::new(engine.for_run(run_id), config.clone(), events.clone()).await?;
    if let Some(unkept) = docker.engine().unkept() {
        events.notice(unkept);
    }
    let told = docker.engine().told();
    Ok((Arc::new(docker), told))
}

/// Containers; but an instance that names no image, on a machine where there is nothing to build
/// one on, runs locally.
struct AutoSandbox {
    docker: Arc<dyn Sandbox>,
    local: LocalSandbox,
    events: Events,
    /// There is nothing to build on; asking again would cost each instance the pull's attempts.
    no_base: AtomicBool,
}

#[async_trait]
impl Sandbox for AutoSandbox {
    fn name(&self) -> &'static str {
        self.docker.name()
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        let tree = spec.image.is_none();
        if tree && self.no_base.load(Ordering::Acquire) {
            return self.local.prepare(spec).await;
        }
        match self.docker.prepare(spec).await {
            Err(error @ SandboxError::ImageMissing { .. }) if tree => {
                if !self.no_base.swap(true, Ordering::AcqRel) {
                    self.events.notice(format!(
                        "instances without an image run in the local sandbox, because {error}"
                    ));
                }
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

    async fn export_repository(
        &self,
        instance: &InstanceId,
        image: &str,
        into: &Path,
    ) -> Result<(), SandboxError> {
        self.docker.export_repository(instance, image, into).await
    }

    fn slots(&self) -> Option<NonZeroUsize> {
        self.docker.slots()
    }

    async fn sweep(&self) {
        self.docker.sweep().await;
        self.local.sweep().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::sandbox::docker::trial;
    use crate::sandbox::{ExecRequest, PullPolicy};

    #[test]
    fn choices_are_read_as_they_are_written() {
        for (name, choice) in Choice::NAMES {
            assert_eq!((name.parse(), choice.to_string()), (Ok(choice), name.to_owned()));
        }
        assert!("podman".parse::<Choice>().unwrap_err().contains("auto, docker or local"));
    }

    /// Nothing to build on: what a machine with Docker but without images and registry has.
    fn bare() -> SandboxConfig {
        SandboxConfig {
            base_image: "agent-trial:no-base".to_owned(),
            public_base: "agent-trial:no-public".to_owned(),
            pull: PullPolicy::Never,
            ..SandboxConfig::default()
        }
    }

    #[tokio::test]
    async fn without_an_image_to_build_on_auto_runs_a_tree_locally_and_docker_refuses() {
        if trial::engine().await.is_none() {
            return;
        }
        let (events, mut receiver) = Events::channel();
        let (auto, told) = connect(Choice::Auto, bare(), "auto", events.clone()).await.unwrap();
        assert!(told.starts_with("docker ") && told.ends_with("because it answers"), "{told}");
        let spec = trial::spec("auto", None);
        auto.prepare(&trial::spec("auto too", None)).await.unwrap();
        let environment = auto.prepare(&spec).await.unwrap();
        let session = auto.start(&environment, &trial::limits()).await.unwrap();
        let request =
            ExecRequest { script: "pwd".to_owned(), timeout: std::time::Duration::from_secs(9) };
        let output = session.exec(&request).await.unwrap();
        assert_eq!(output.text().trim(), session.workdir());
        session.close().await;
        let notices: Vec<String> = std::iter::from_fn(|| receiver.try_recv().ok())
            .filter_map(|event| match event.kind {
                EventKind::Notice { message } => Some(message),
                _ => None,
            })
            .filter(|message| message.contains("local sandbox"))
            .collect();
        assert_eq!(notices.len(), 1, "{notices:?}");

        let named = EnvironmentSpec { image: Some("agent-trial:none".to_owned()), ..spec.clone() };
        assert!(matches!(auto.prepare(&named).await, Err(SandboxError::ImageMissing { .. })));
        let (docker, _) = connect(Choice::Docker, bare(), "docker", events).await.unwrap();
        let error = docker.prepare(&spec).await.unwrap_err().to_string();
        assert!(error.contains("docker/base.sh"), "{error}");
    }

    #[tokio::test]
    async fn local_is_taken_when_asked_for() {
        let config = SandboxConfig::default();
        let (local, told) =
            connect(Choice::Local, config, "local", Events::discard()).await.unwrap();
        assert_eq!((local.name(), told.as_str()), ("local", "local, as asked"));
    }
}
