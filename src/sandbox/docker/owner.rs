//! Who made a container: the labels that say it, and the sweep that removes what dead processes
//! left. Containers of others, and those whose owner may be alive, are never touched.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};

use crate::artifact::InstanceId;
use crate::sandbox::SandboxError;
use crate::sandbox::docker::Engine;
use crate::sandbox::process::{is_gone, process_label};

const MARK: &str = "agent";
const RUN: &str = "agent.run";
const PROCESS: &str = "agent.pid";
const INSTANCE: &str = "agent.instance";

/// This process, as the labels name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    run: String,
    process: String,
}

impl Owner {
    /// With a run id of its own.
    pub(super) fn new() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos());
        let pid = std::process::id();
        Self { run: format!("{nanos:x}-{pid}"), process: process_label(pid) }
    }

    pub(super) fn with_run(mut self, run: &str) -> Self {
        run.clone_into(&mut self.run);
        self
    }

    /// The labels of a container of ours.
    pub(super) fn labels(&self, instance: &InstanceId) -> HashMap<String, String> {
        HashMap::from([
            (MARK.to_owned(), "1".to_owned()),
            (RUN.to_owned(), self.run.clone()),
            (PROCESS.to_owned(), self.process.clone()),
            (INSTANCE.to_owned(), instance.to_string()),
        ])
    }

    /// Whether a container with these labels may be removed: its process is gone, or it is
    /// `ours_too` and belongs to this process and run.
    fn may_remove(&self, labels: &HashMap<String, String>, ours_too: bool) -> bool {
        let Some(process) = labels.get(PROCESS) else { return false };
        if *process == self.process {
            return ours_too && labels.get(RUN) == Some(&self.run);
        }
        is_gone(process)
    }
}

/// Dockerfile instructions that unmark an image made from a container of ours: images hand their
/// labels on, and a container that a user starts from it must not look like one of ours.
pub(super) fn unmark_instructions() -> String {
    [MARK, RUN, PROCESS, INSTANCE].map(|label| format!("LABEL {label}=\"\"")).join("\n")
}

impl Engine {
    /// Removes containers that processes which have ended on this machine left behind and, if
    /// `ours_too`, those of this process and run. Answers how many were removed.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] or [`SandboxError::Call`] if the engine cannot list containers;
    /// one that cannot be removed is skipped.
    pub async fn sweep(&self, ours_too: bool) -> Result<usize, SandboxError> {
        let filters = HashMap::from([("label", vec![format!("{MARK}=1")])]);
        let filters: HashMap<String, Vec<String>> =
            filters.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let containers = self
            .docker
            .list_containers(Some(options))
            .await
            .map_err(|e| self.error("list containers", e))?;
        let mut removed = 0;
        for container in containers {
            let labels = container.labels.unwrap_or_default();
            let Some(id) = container.id else { continue };
            if !self.owner.may_remove(&labels, ours_too) {
                continue;
            }
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            if self.docker.remove_container(&id, Some(options)).await.is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::sandbox::docker::trial;

    #[test]
    fn our_own_containers_go_only_with_their_run_and_when_asked() {
        let instance = InstanceId::new("a__b-1").unwrap();
        let one = Owner::new().with_run("one");
        let two = Owner::new().with_run("two");
        assert!(one.may_remove(&one.labels(&instance), true));
        assert!(!one.may_remove(&one.labels(&instance), false));
        assert!(!one.may_remove(&two.labels(&instance), true));
        assert!(!one.may_remove(&HashMap::new(), true));
    }

    #[tokio::test]
    async fn a_sweep_takes_a_dead_process_container_and_no_other() {
        let Some(engine) = trial::engine().await else { return };
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let dead = process_label(child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        // As another process would have made it, and as a stranger would.
        let docker = |labels: &[String]| {
            let mut command = std::process::Command::new("docker");
            command.args(["run", "-d", "--rm", "--network", "none"]);
            for label in labels {
                command.args(["--label", label]);
            }
            let output =
                command.args([trial::BASE, "sleep", "60"]).stderr(Stdio::inherit()).output();
            String::from_utf8(output.unwrap().stdout).unwrap().trim().to_owned()
        };
        let left = docker(&["agent=1".into(), "agent.run=x".into(), format!("agent.pid={dead}")]);
        let foreign = docker(&["agent=1".into(), "agent.pid=1.1@elsewhere/1".into()]);
        let stranger = docker(&[]);
        let ours = trial::container(&engine.clone().for_run("sweep-a")).await;
        let other_run = trial::container(&engine.clone().for_run("sweep-b")).await;

        engine.clone().for_run("sweep-a").sweep(true).await.unwrap();
        let running = engine
            .docker
            .list_containers(None::<bollard::query_parameters::ListContainersOptions>)
            .await
            .unwrap();
        let running: Vec<String> =
            running.into_iter().filter_map(|container| container.id).collect();
        let expected = [(&left, false), (&foreign, true), (&stranger, true)];
        for (id, alive) in expected {
            assert_eq!(running.contains(id), alive, "{id}");
        }
        assert!(!running.iter().any(|id| id == ours.id()));
        assert!(running.iter().any(|id| id == other_run.id()));
        other_run.remove().await;
        for id in [foreign, stranger] {
            std::process::Command::new("docker").args(["rm", "-f", &id]).output().unwrap();
        }
    }
}
