//! What a user may set about sandboxes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sandbox::Limits;
use crate::sandbox::docker::{Address, default_host};

/// When images are fetched from a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// When they are not on the engine.
    #[default]
    Missing,
    /// Never; a missing image is an error.
    Never,
}

/// What becomes of later commits, other copies and the like in an image that others made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakPolicy {
    /// They are removed where nothing needs them. An image whose HEAD itself lies after the base
    /// commit is refused.
    #[default]
    Remove,
    /// An image that has any is refused.
    Refuse,
    /// They are recorded and stay.
    Warn,
}

impl LeakPolicy {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Remove => "remove",
            Self::Refuse => "refuse",
            Self::Warn => "warn",
        }
    }
}

/// Settings of the sandboxes, section `[sandbox]`. The local sandbox heeds the limits and
/// `install_seconds`; the rest is Docker's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// Addresses of container engines, see [`crate::sandbox::docker::Address`]; empty takes the one
    /// that `DOCKER_HOST` names. Work is spread over several.
    pub docker_hosts: Vec<String>,
    /// Memory of a session in MiB; swap is not added.
    pub memory_mib: u64,
    /// Processes and threads of a session. BLAS and OpenMP threads count.
    pub pids: u32,
    /// Cores of a session; fractions allowed, never more than the engine has.
    pub cpus: f64,
    /// Life of a session in seconds: it ends itself after this, even if this process was killed.
    pub lifetime_seconds: u64,
    /// Output kept of one command in KiB; a command that writes more is ended.
    pub output_kib: usize,
    /// Network of sessions: `none`, `bridge` or `host`. Model-written code runs in them.
    pub network: String,
    /// Network of install commands, which usually fetch packages.
    pub install_network: String,
    /// Time limit of an install command in seconds.
    pub install_seconds: u64,
    /// Image to build environments on that have no image of their own, if it is on the engine.
    pub base_image: String,
    /// Image to use in its place otherwise; pulled if need be.
    pub public_base: String,
    /// When images are fetched from a registry.
    pub pull: PullPolicy,
    /// What becomes of later commits and other copies of the project in an image.
    pub leaks: LeakPolicy,
    /// Capabilities that root keeps inside; all others are dropped.
    pub capabilities: Vec<String>,
    /// Size of `/dev/shm` in MiB.
    pub shm_mib: u64,
    /// Limit of open files of a process.
    pub open_files: u32,
    /// Largest file that a process of a session may write, in MiB.
    pub file_mib: u64,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        let capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "KILL"];
        Self {
            docker_hosts: Vec::new(),
            memory_mib: 4096,
            pids: 1024,
            cpus: 2.0,
            lifetime_seconds: 7200,
            output_kib: 10_240,
            network: "none".to_owned(),
            install_network: "bridge".to_owned(),
            install_seconds: 1800,
            base_image: "agent-base:bookworm".to_owned(),
            public_base: "python:3.11-bookworm".to_owned(),
            pull: PullPolicy::Missing,
            leaks: LeakPolicy::Remove,
            capabilities: capabilities.map(str::to_owned).to_vec(),
            shm_mib: 64,
            open_files: 4096,
            file_mib: 4096,
        }
    }
}

impl SandboxConfig {
    /// Addresses of the engines to use, at least one.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        if self.docker_hosts.is_empty() { vec![default_host()] } else { self.docker_hosts.clone() }
    }

    /// Whether each address can be read and stands there once.
    ///
    /// # Errors
    /// A message that names the first wrong one.
    pub fn check_hosts(&self) -> Result<(), String> {
        for (index, host) in self.docker_hosts.iter().enumerate() {
            Address::parse(host)?;
            if self.docker_hosts[..index].contains(host) {
                return Err(format!("{host:?} stands there twice"));
            }
        }
        Ok(())
    }

    /// The limits of a session.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.memory_mib << 20,
            pids: self.pids,
            cpus: self.cpus,
            output_bytes: self.output_kib << 10,
            lifetime: Duration::from_secs(self.lifetime_seconds),
        }
    }

    /// The limits of preparing an environment, of which the install command is the long part.
    pub(crate) fn install_limits(&self) -> Limits {
        let lifetime = Duration::from_secs(self.install_seconds + 900);
        Limits { lifetime, output_bytes: 16 << 20, ..self.limits() }
    }
}
