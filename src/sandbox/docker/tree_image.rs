//! An image made once from a base tree: laid out, committed as the only commit, installed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::sandbox::capture::end_of;
use crate::sandbox::docker::{Container, ContainerSpec, DockerSandbox, ExecSpec};
use crate::sandbox::host::HostNetwork;
use crate::sandbox::script::{AMEND_COMMIT, ONE_COMMIT, TESTBED};
use crate::sandbox::{EnvironmentSpec, ExecStatus, SandboxConfig, SandboxError, TreeSource};
use crate::scratch;

/// Label that holds the tree's digest.
pub const TREE_LABEL: &str = "agent.tree";

/// Changes when images must be made anew although their inputs are the same.
const RECIPE: &str = "2";

/// Where the CA bundle lies while the install command runs.
const CA_BUNDLE: &str = "tmp/agent-install/ca.pem";

impl DockerSandbox {
    /// The image of a tree, made if it is not there yet.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`] if there is no image to build on, [`SandboxError::Setup`]
    /// with the end of the output if the install command fails.
    pub(super) async fn tree_image(&self, spec: &EnvironmentSpec) -> Result<String, SandboxError> {
        let (base, base_id) = self.base_image(spec).await?;
        let key = key(&spec.tree.id(), spec.install.as_deref(), &base_id);
        let reference = format!("agent-tree:{key}");
        if self.engine.image(&reference).await?.is_some() {
            return Ok(reference);
        }
        let container = self.engine.create(&build_spec(&self.config, spec, &base)).await?;
        let built = self.build(&container, spec, &reference).await;
        container.remove().await;
        built.map(|()| reference)
    }

    /// The image to build on, and its id: the configured base image or the public one, whichever
    /// is here; else the public one is pulled.
    async fn base_image(&self, spec: &EnvironmentSpec) -> Result<(String, String), SandboxError> {
        for reference in [&self.config.base_image, &self.config.public_base] {
            if let Some(image) = self.engine.image(reference).await? {
                return Ok((reference.clone(), image.id));
            }
        }
        let public = &self.config.public_base;
        let pulled = match self.pull(&spec.instance, public).await {
            Ok(()) => self.engine.image(public).await?,
            Err(SandboxError::ImageMissing { image, detail }) => {
                let detail = format!(
                    "{detail}; without a registry docker/base.sh makes {}",
                    self.config.base_image
                );
                return Err(SandboxError::ImageMissing { image, detail });
            }
            Err(error) => return Err(error),
        };
        pulled.map(|image| (public.clone(), image.id)).ok_or_else(|| SandboxError::ImageMissing {
            image: public.clone(),
            detail: "the engine does not have it although it pulled it".to_owned(),
        })
    }

    async fn build(
        &self,
        container: &Container,
        spec: &EnvironmentSpec,
        reference: &str,
    ) -> Result<(), SandboxError> {
        container.fulfil_contract().await?;
        let step = |what: &'static str, exec: ExecSpec| run_step(container, spec, what, exec);

        step(
            "empty /testbed",
            ExecSpec::script("rm -rf /testbed && mkdir /testbed").in_directory("/"),
        )
        .await?;
        let tar = tree_archive(Arc::clone(&spec.tree)).await?;
        container.upload_tar_file(TESTBED, tar).await?;
        step("commit the tree", ExecSpec::script(ONE_COMMIT)).await?;
        if let Some(install) = &spec.install {
            let exec = self.install(container, install).await?;
            step("install", exec).await?;
            step("commit what the install command changed", ExecSpec::script(AMEND_COMMIT)).await?;
        }
        // Sessions start without a command of their own, so their scratch directory is made here.
        let last = "rm -rf /tmp/agent-install; mkdir -p /tmp/agent";
        step("clean up", ExecSpec::script(last).in_directory("/")).await?;
        let changes =
            [format!("LABEL {TREE_LABEL}={}", spec.tree.id()), format!("WORKDIR {TESTBED}")];
        self.engine.commit(container, reference, &changes).await?;
        Ok(())
    }

    /// The install command with what it needs to reach a package index.
    async fn install(
        &self,
        container: &Container,
        install: &str,
    ) -> Result<ExecSpec, SandboxError> {
        let network = HostNetwork::detect();
        let mut inside = None;
        if let Some(path) = &network.ca_bundle {
            let content = tokio::fs::read(path).await.map_err(|source| SandboxError::Io {
                action: format!("read the CA bundle {}", path.display()),
                source,
            })?;
            // Uploaded and not mounted: the engine may run on another machine.
            container.upload("/", &[(CA_BUNDLE, &content, false)]).await?;
            inside = Some(Path::new("/").join(CA_BUNDLE));
        }
        let mut exec = ExecSpec::script(install)
            .activated()
            .timeout(Duration::from_secs(self.config.install_seconds));
        exec.env.extend(network.variables(inside.as_deref()));
        Ok(exec)
    }
}

fn build_spec(config: &SandboxConfig, spec: &EnvironmentSpec, base: &str) -> ContainerSpec {
    let limits = config.install_limits();
    let mut container = ContainerSpec::new(base, spec.instance.clone(), limits);
    if spec.install.is_some() {
        config.install_network.clone_into(&mut container.network);
    }
    container.capabilities.clone_from(&config.capabilities);
    container
}

/// Names the image: first 16 hex digits of a digest of all that it is made of.
fn key(tree: &str, install: Option<&str>, base: &str) -> String {
    let mut digest = Sha256::new();
    for part in [RECIPE, tree, install.unwrap_or_default(), base] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

async fn run_step(
    container: &Container,
    spec: &EnvironmentSpec,
    what: &str,
    exec: ExecSpec,
) -> Result<(), SandboxError> {
    let output = container.exec(&exec).await?;
    let failure = match output.status {
        ExecStatus::Exited(0) => return Ok(()),
        ExecStatus::Exited(code) => format!("exit status {code}"),
        ExecStatus::TimedOut => format!("not done after {} s", exec.timeout.as_secs()),
        ExecStatus::OutputLimit => "it writes too much".to_owned(),
    };
    Err(SandboxError::Setup {
        instance: spec.instance.clone(),
        detail: format!("{what}: {failure}; its output ends: {}", end_of(&output.text(), 2000)),
    })
}

/// The tree as a tar archive in an unnamed file: owned by root, fixed times.
async fn tree_archive(tree: Arc<dyn TreeSource>) -> Result<File, SandboxError> {
    let packed = tokio::task::spawn_blocking(move || -> io::Result<File> {
        let dir = scratch::Dir::new("agent-tree-")?;
        tree.write_to(dir.path())?;
        let mut builder = tar::Builder::new(tempfile::tempfile()?);
        builder.follow_symlinks(false);
        builder.mode(tar::HeaderMode::Deterministic);
        builder.append_dir_all(".", dir.path())?;
        let mut file = builder.into_inner()?;
        io::Seek::rewind(&mut file)?;
        Ok(file)
    });
    packed
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|source| SandboxError::Io { action: "lay out the tree".to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_named_by_all_that_it_is_made_of() {
        let name = key("t", Some("make"), "b");
        assert_eq!(name.len(), 16);
        assert_eq!(name, key("t", Some("make"), "b"));
        for other in [key("u", Some("make"), "b"), key("t", None, "b"), key("t", Some("make"), "c")]
        {
            assert_ne!(name, other);
        }
        assert_ne!(key("ab", Some("c"), ""), key("a", Some("bc"), ""));
    }
}
