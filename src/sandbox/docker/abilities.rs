//! What an engine is and which limits it can keep, asked once.

use bollard::Docker;
use bollard::errors::Error as ClientError;
use bollard::models::ResourcesUlimits;

use crate::sandbox::Limits;

/// How Podman names itself in the answer that it gives in Docker's place.
const PODMAN: &str = "Podman Engine";

/// Processes of one user under Podman, which counts them over the whole machine: far above what
/// sessions need (their own limit is another), below what its own default asks for.
const PODMAN_PROCESSES: i64 = 4096;

/// An engine's kind, size and limits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Abilities {
    version: String,
    podman: bool,
    /// Cores that the engine has; it refuses containers with more.
    pub(super) cores: f64,
    /// Memory in bytes; 0 if it does not say.
    memory_bytes: u64,
    /// Whether memory can be limited.
    pub(super) memory: bool,
    /// Whether swap can be kept away.
    pub(super) swap: bool,
    /// Whether processes can be limited.
    pub(super) pids: bool,
    /// Whether cores can be limited.
    pub(super) cpu: bool,
}

impl Abilities {
    pub(super) async fn ask(docker: &Docker) -> Result<Self, ClientError> {
        let info = docker.info().await?;
        let version = docker.version().await?;
        let podman =
            version.components.unwrap_or_default().iter().any(|component| component.name == PODMAN);
        // Docker lets go of what it cannot keep by itself, and says less about it than it knows;
        // Podman refuses the whole container.
        let can = |flag: Option<bool>| !podman || flag != Some(false);
        Ok(Self {
            version: version.version.unwrap_or_default(),
            podman,
            cores: info.ncpu.filter(|&count| count > 0).map_or(f64::MAX, |count| count as f64),
            memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
            memory: can(info.memory_limit),
            swap: can(info.memory_limit) && can(info.swap_limit),
            pids: can(info.pids_limit),
            cpu: can(info.cpu_cfs_quota),
        })
    }

    /// Name and version.
    pub(super) fn name(&self) -> String {
        if self.podman {
            // Runs are recognised by the first word.
            format!("docker (Podman {})", self.version)
        } else {
            format!("docker {}", self.version)
        }
    }

    /// Whether this failure to look at a container means that it has ended. Podman knows a state,
    /// `stopped`, that Docker's client cannot read, and tells of a container that is being removed
    /// as an error of its own.
    pub(super) fn says_ended(&self, error: &ClientError) -> bool {
        self.podman
            && match error {
                ClientError::JsonDataError { message, .. } => message.contains("`stopped`"),
                ClientError::DockerResponseServerError { message, .. } => {
                    message.contains("no such container")
                }
                _ => false,
            }
    }

    /// Sessions that fit: each may use one core fully, and all of its memory.
    pub(super) fn slots(&self, limits: &Limits) -> usize {
        let cores = if self.cores < f64::from(u16::MAX) { self.cores as usize } else { 1 };
        let memory = match self.memory_bytes {
            0 => cores,
            bytes => usize::try_from(bytes / limits.memory_bytes.max(1)).unwrap_or(cores),
        };
        cores.min(memory).max(1)
    }

    /// Limits that cannot be kept, as people call them.
    pub(super) fn unkept(&self) -> Vec<&'static str> {
        let all = [
            (self.memory, "memory"),
            (self.swap, "swap"),
            (self.pids, "processes"),
            (self.cpu, "cores"),
        ];
        all.into_iter().filter(|(kept, _)| !kept).map(|(_, name)| name).collect()
    }

    /// Limits of a process: open files, bytes of a file, no core dumps and, for Podman, processes.
    pub(super) fn ulimits(&self, files: i64, bytes: i64, pids: i64) -> Vec<ResourcesUlimits> {
        let limit = |name: &str, value: i64| ResourcesUlimits {
            name: Some(name.to_owned()),
            soft: Some(value),
            hard: Some(value),
        };
        let mut limits = vec![limit("nofile", files), limit("fsize", bytes), limit("core", 0)];
        if self.podman {
            // Without one it asks for millions, which an engine that may not raise its own limit
            // (in a container, in some machines) cannot give, and no container starts.
            limits.push(limit("nproc", pids.max(PODMAN_PROCESSES)));
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities() -> Abilities {
        Abilities {
            version: "1.0".to_owned(),
            podman: true,
            cores: 8.0,
            memory_bytes: 20 << 30,
            memory: true,
            swap: false,
            pids: false,
            cpu: true,
        }
    }

    #[test]
    fn slots_are_bounded_by_cores_and_by_memory() {
        let limits = |gib: u64| Limits {
            memory_bytes: gib << 30,
            ..crate::sandbox::SandboxConfig::default().limits()
        };
        let engine = abilities();
        assert_eq!(engine.slots(&limits(1)), 8);
        assert_eq!(engine.slots(&limits(4)), 5);
        assert_eq!(engine.slots(&limits(64)), 1);
        let silent = Abilities { cores: f64::MAX, memory_bytes: 0, ..engine };
        assert_eq!(silent.slots(&limits(4)), 1);
    }

    #[test]
    fn limits_that_are_not_kept_are_named() {
        assert_eq!(abilities().unkept(), ["swap", "processes"]);
        assert_eq!(abilities().name(), "docker (Podman 1.0)");
        let names = |engine: Abilities| -> Vec<String> {
            engine.ulimits(7, 9, 8).into_iter().filter_map(|limit| limit.name).collect()
        };
        assert_eq!(names(abilities()), ["nofile", "fsize", "core", "nproc"]);
        let docker = Abilities { podman: false, ..abilities() };
        assert_eq!(names(docker), ["nofile", "fsize", "core"]);
    }
}
