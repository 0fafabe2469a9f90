//! One container of ours: created with limits and labels, kept alive for a bounded time, filled by
//! tar archives, and removed.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use bollard::errors::Error as ClientError;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use tokio::io::AsyncReadExt;

use crate::artifact::InstanceId;
use crate::sandbox::docker::Engine;
use crate::sandbox::{Limits, SandboxError};

/// Keeps the container alive for `$1` seconds, then ends it. As process 1 of the container, bash
/// cannot be killed from inside (`kill -9 -1` by a test would end a `sleep` under an init and the
/// container with it), and it reaps orphans. It waits on a pipe that nobody writes to, by a builtin
/// command: without a `sleep`, which a test may delete, a loop around it would spin.
const KEEP_ALIVE: &str = r#"trap "" TERM INT HUP QUIT; exec 3<> <(:)
while ((SECONDS < $1)); do read -rt 5 -u 3; done"#;

/// A container to create.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// Image to start from; must be on the engine.
    pub image: String,
    /// Whose container it is, for labels and messages.
    pub instance: InstanceId,
    /// Bounds, including the life of the container.
    pub limits: Limits,
    /// Network mode: `none`, `bridge`, `host`.
    pub network: String,
    /// Host files or directories and where they appear, read-only.
    pub binds: Vec<(PathBuf, String)>,
    /// Capabilities that root keeps; all others are dropped. See capabilities(7), without `CAP_`.
    pub capabilities: Vec<String>,
    /// Size of `/dev/shm` in bytes; counts as memory when used.
    pub shm_bytes: u64,
    /// Limit of open files of a process.
    pub open_files: u32,
    /// Largest file that a process may write, in bytes.
    pub file_bytes: u64,
}

impl ContainerSpec {
    /// The hardened defaults: no network, no binds, the capabilities that root's file access and
    /// `su` need, bounded files and shared memory.
    #[must_use]
    pub fn new(image: impl Into<String>, instance: InstanceId, limits: Limits) -> Self {
        let capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "KILL"];
        Self {
            image: image.into(),
            instance,
            limits,
            network: "none".to_owned(),
            binds: Vec::new(),
            capabilities: capabilities.map(str::to_owned).to_vec(),
            shm_bytes: 64 << 20,
            open_files: 4096,
            file_bytes: 16 << 30,
        }
    }

    fn body(&self, engine: &Engine) -> ContainerCreateBody {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        // To the engine 0 means without a limit.
        let memory = number(self.limits.memory_bytes.max(16 << 20));
        let binds = self.binds.iter().map(|(from, to)| format!("{}:{to}:ro", from.display()));
        let abilities = &engine.abilities;
        let files = i64::from(self.open_files);
        let host_config = HostConfig {
            network_mode: Some(self.network.clone()),
            memory: abilities.memory.then_some(memory),
            // Equal to memory: no swap on top.
            memory_swap: abilities.swap.then_some(memory),
            nano_cpus: abilities
                .cpu
                .then_some((self.limits.cpus.clamp(0.01, abilities.cores) * 1e9) as i64),
            pids_limit: abilities.pids.then_some(i64::from(self.limits.pids.max(1))),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(self.capabilities.clone()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ulimits: Some(abilities.ulimits(
                files,
                number(self.file_bytes.max(1 << 20)),
                i64::from(self.limits.pids),
            )),
            shm_size: Some(number(self.shm_bytes)),
            binds: Some(binds.collect()),
            // Without a network the engine writes no entry for the host's own name.
            extra_hosts: (self.network == "none").then(|| vec![format!("{HOSTNAME}:127.0.0.1")]),
            auto_remove: Some(true),
            init: Some(false),
            ..HostConfig::default()
        };
        ContainerCreateBody {
            image: Some(self.image.clone()),
            hostname: (self.network != "host").then(|| HOSTNAME.to_owned()),
            user: Some("root".to_owned()),
            // One empty word means none, also for images that have one. A real one here would be
            // handed on to an image made of this container, whatever its changes say.
            entrypoint: Some(vec![String::new()]),
            cmd: Some(vec![
                "bash".to_owned(),
                "-c".to_owned(),
                KEEP_ALIVE.to_owned(),
                "agent".to_owned(),
                self.limits.lifetime.as_secs().max(1).to_string(),
            ]),
            working_dir: Some("/".to_owned()),
            labels: Some(engine.owner.labels(&self.instance)),
            host_config: Some(host_config),
            ..ContainerCreateBody::default()
        }
    }
}

const HOSTNAME: &str = "testbed";

/// A running container. Dropping the handle leaves it running until its life ends; whoever owns
/// it calls [`Container::remove`].
#[derive(Clone)]
pub struct Container {
    pub(super) engine: Engine,
    id: String,
    instance: InstanceId,
    /// Processes that had been ended for want of memory when it was last asked.
    pub(super) oom_kills: Arc<AtomicU64>,
}

impl Engine {
    /// Creates and starts a container.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`] if the image is not on the engine; [`SandboxError`] if the
    /// engine cannot start it.
    pub async fn create(&self, spec: &ContainerSpec) -> Result<Container, SandboxError> {
        let created = match self.docker.create_container(None, spec.body(self)).await {
            Ok(created) => created,
            Err(ClientError::DockerResponseServerError { status_code: 404, message }) => {
                return Err(SandboxError::ImageMissing {
                    image: spec.image.clone(),
                    detail: message,
                });
            }
            Err(error) => {
                return Err(self.error(&format!("create a container of {}", spec.image), error));
            }
        };
        let container = Container {
            engine: self.clone(),
            id: created.id,
            instance: spec.instance.clone(),
            oom_kills: Arc::default(),
        };
        if let Err(error) = self.docker.start_container(&container.id, None).await {
            container.remove().await;
            return Err(self.error(&format!("start a container of {}", spec.image), error));
        }
        Ok(container)
    }
}

impl Container {
    /// The engine's id of it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose container it is.
    #[must_use]
    pub fn instance(&self) -> &InstanceId {
        &self.instance
    }

    /// Unpacks a tar archive below `dir`, which must exist and must not be a tmpfs: the engine
    /// would write below the mount, where the container does not see it.
    ///
    /// # Errors
    /// [`SandboxError`] if the engine cannot, or `dir` is missing.
    pub async fn upload_tar(&self, dir: &str, tar: Vec<u8>) -> Result<(), SandboxError> {
        let options = UploadToContainerOptionsBuilder::new().path(dir).build();
        let body = bollard::body_full(tar.into());
        let done = self.engine.docker.upload_to_container(&self.id, Some(options), body).await;
        match done {
            Ok(()) => Ok(()),
            Err(error) => Err(self.error(&format!("upload files to {dir}"), error).await),
        }
    }

    /// Like [`Container::upload_tar`], from a file that is read as it is sent.
    ///
    /// # Errors
    /// [`SandboxError`] if the engine cannot, `dir` is missing, or the file cannot be read.
    pub async fn upload_tar_file(&self, dir: &str, tar: File) -> Result<(), SandboxError> {
        let options = UploadToContainerOptionsBuilder::new().path(dir).build();
        let file = tokio::fs::File::from_std(tar);
        let chunks = futures_util::stream::unfold(file, async |mut file| {
            let mut chunk = vec![0; 256 << 10];
            match file.read(&mut chunk).await {
                Ok(0) => None,
                Ok(length) => {
                    chunk.truncate(length);
                    Some((Ok(chunk.into()), file))
                }
                Err(error) => Some((Err(error), file)),
            }
        });
        let body = bollard::body_try_stream(chunks);
        let done = self.engine.docker.upload_to_container(&self.id, Some(options), body).await;
        match done {
            Ok(()) => Ok(()),
            Err(error) => Err(self.error(&format!("upload a tree to {dir}"), error).await),
        }
    }

    /// Puts files below `dir`: path relative to it, content, whether executable. Directories are
    /// made as needed; everything belongs to root.
    ///
    /// # Errors
    /// [`SandboxError`] if the engine cannot, or a path leaves `dir`.
    pub async fn upload(
        &self,
        dir: &str,
        files: &[(&str, &[u8], bool)],
    ) -> Result<(), SandboxError> {
        let tar = archive(files).map_err(|source| SandboxError::Io {
            action: format!("pack files for {dir}"),
            source,
        })?;
        self.upload_tar(dir, tar).await
    }

    /// The same container, asked through another client of its engine.
    pub(super) fn on(mut self, engine: &Engine) -> Self {
        self.engine = engine.clone();
        self
    }

    /// Whether it is running.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] if the engine is gone.
    pub async fn is_running(&self) -> Result<bool, SandboxError> {
        let options = None::<InspectContainerOptions>;
        match self.engine.docker.inspect_container(&self.id, options).await {
            Ok(container) => Ok(container.state.and_then(|state| state.running).unwrap_or(false)),
            Err(ClientError::DockerResponseServerError { status_code: 404, .. }) => Ok(false),
            Err(error) if self.engine.abilities.says_ended(&error) => Ok(false),
            Err(error) => Err(self.engine.error("look at a container", error)),
        }
    }

    /// Kills all that runs in it, and thereby ends it. The only sure way: closing a connection
    /// stops nothing, and a process group does not hold a `setsid` child.
    pub async fn kill(&self) {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        // It may have ended just now; if the engine is gone nothing can be done here.
        let _ = self.engine.docker.kill_container(&self.id, Some(options)).await;
    }

    /// Whether it ends within `patience`. The engine notes the end of a container a moment after
    /// the end of the commands in it.
    pub(super) async fn ends_within(&self, patience: Duration) -> Result<bool, SandboxError> {
        let begin = Instant::now();
        while self.is_running().await? {
            if begin.elapsed() >= patience {
                return Ok(false);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(true)
    }

    /// Ends and removes it, and waits until it is gone (some seconds at most).
    pub async fn remove(&self) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        for _ in 0..100 {
            match self.engine.docker.remove_container(&self.id, Some(options.clone())).await {
                Err(ClientError::DockerResponseServerError { status_code: 404, .. }) => return,
                // Removed, or (409) being removed by the engine itself: ask until it is gone.
                Ok(()) | Err(ClientError::DockerResponseServerError { .. }) => {}
                Err(_) => return,
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client's error as ours. What the engine says about a container that has ended depends on
    /// how far it is with removing it, so it is asked.
    pub(super) async fn error(&self, action: &str, error: ClientError) -> SandboxError {
        let refused = matches!(error, ClientError::DockerResponseServerError { .. });
        if refused && self.is_running().await.is_ok_and(|running| !running) {
            return SandboxError::Ended {
                instance: self.instance.clone(),
                detail: "its container is gone".to_owned(),
            };
        }
        self.engine.error(&format!("{action} (sandbox of {})", self.instance), error)
    }
}

/// A tar archive of these files and their directories.
fn archive(files: &[(&str, &[u8], bool)]) -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content, executable) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(if *executable { 0o755 } else { 0o644 });
        header.set_mtime(1);
        header.set_uid(0);
        header.set_gid(0);
        builder.append_data(&mut header, path, *content)?;
    }
    builder.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_cannot_name_a_place_outside_of_its_directory() {
        for bad in ["../x", "a/../../x", ""] {
            assert!(archive(&[(bad, b"", false)]).is_err(), "{bad:?}");
        }
    }
}
