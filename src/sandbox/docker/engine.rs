//! The container engine's client: reaching it, and images. All errors name what was tried.

use std::sync::Arc;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as ClientError;
use bollard::models::ContainerConfig;
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateImageOptionsBuilder, RemoveImageOptionsBuilder,
    TagImageOptionsBuilder,
};
use futures_util::StreamExt;

use crate::sandbox::docker::address::{Address, default_host};
use crate::sandbox::docker::owner::{Owner, unmark_instructions};
use crate::sandbox::docker::reach::{Reached, reach};
use crate::sandbox::docker::tunnel::Tunnel;
use crate::sandbox::docker::{Abilities, Container};
use crate::sandbox::{Limits, SandboxError};

/// How long an engine may take to say that it is there.
const PING: Duration = Duration::from_secs(5);

/// How long the engine may take to begin its answer to a call. Committing and uploading gigabytes
/// to a busy disk takes minutes.
const CALL: Duration = Duration::from_secs(900);

/// A reachable container engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) docker: Docker,
    pub(super) owner: Arc<Owner>,
    pub(super) abilities: Arc<Abilities>,
    host: Arc<str>,
    local: bool,
    /// What an address behind ssh is reached through.
    tunnel: Option<Arc<Tunnel>>,
}

/// An image on this engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its id: digest of its configuration, which covers the content.
    pub id: String,
    /// Its registry digest (`name@sha256:...`), if it came from a registry.
    pub digest: Option<String>,
    /// Bytes on disk, shared layers included.
    pub size: u64,
    /// Its labels.
    pub labels: std::collections::HashMap<String, String>,
}

impl Engine {
    /// Reaches the engine at `DOCKER_HOST`, else at the default socket or a rootless one's.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] if nothing answers within seconds.
    pub async fn connect() -> Result<Self, SandboxError> {
        Self::connect_to(&default_host()).await
    }

    /// Reaches the engine at `host`, an [`Address`].
    ///
    /// # Errors
    /// [`SandboxError::Engine`] if nothing answers within seconds.
    pub async fn connect_to(host: &str) -> Result<Self, SandboxError> {
        let unreachable = |source| SandboxError::Engine { host: host.to_owned(), source };
        let address = Address::parse(host).map_err(|why| unreachable(why.into()))?;
        let Reached { docker, tunnel } = reach(&address, CALL).await.map_err(unreachable)?;
        let asked = async {
            tokio::time::timeout(PING, docker.ping()).await??;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Abilities::ask(&docker).await?)
        };
        let abilities = match asked.await {
            Ok(abilities) => abilities,
            Err(error) => {
                // A socket that ssh cannot open over there looks like a broken connection from here.
                let said = match &tunnel {
                    Some(tunnel) => tunnel.last_words().await,
                    None => None,
                };
                return Err(match said {
                    Some(said) => unreachable(format!("{error}: ssh says: {said}").into()),
                    None => unreachable(error),
                });
            }
        };
        Ok(Self {
            docker,
            owner: Arc::new(Owner::new()),
            abilities: Arc::new(abilities),
            host: Arc::from(host),
            local: address.is_local(),
            tunnel,
        })
    }

    /// Waits some seconds for any answer.
    ///
    /// # Errors
    /// [`SandboxError::Engine`] if there is none; its source is `Elapsed` if the time was too short.
    pub(super) async fn answer(&self) -> Result<(), SandboxError> {
        match tokio::time::timeout(PING, self.docker.ping()).await {
            Ok(Ok(_) | Err(ClientError::DockerResponseServerError { .. })) => Ok(()),
            Ok(Err(error)) => Err(self.error("ask whether the engine is there", error)),
            Err(late) => {
                Err(SandboxError::Engine { host: self.host.to_string(), source: Box::new(late) })
            }
        }
    }

    /// The same engine; containers are labelled as this run's from here on.
    #[must_use]
    pub fn for_run(mut self, run: &str) -> Self {
        self.owner = Arc::new(self.owner.as_ref().clone().with_run(run));
        self
    }

    /// The address that answered.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Whether it surely runs on this machine: what `localhost` means to it is the same.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Sessions with these limits that may work at the same time, by cores and memory; at least 1.
    #[must_use]
    pub fn slots(&self, limits: &Limits) -> usize {
        self.abilities.slots(limits)
    }

    /// The engine in a few words, such as `docker 20.10.24 at unix:///var/run/docker.sock`.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{} at {}", self.abilities.name(), self.host)
    }

    /// Which bounds of a session this engine cannot keep, in a line for people.
    #[must_use]
    pub fn unkept(&self) -> Option<String> {
        let unkept = self.abilities.unkept();
        (!unkept.is_empty()).then(|| {
            format!(
                "the engine at {} cannot limit {}: sessions run without these bounds",
                self.host,
                unkept.join(", ")
            )
        })
    }

    /// An image by tag, digest or id; `None` if this engine does not have it.
    ///
    /// # Errors
    /// [`SandboxError`] if the engine does not answer, or `reference` is not a valid one.
    pub async fn image(&self, reference: &str) -> Result<Option<ImageInfo>, SandboxError> {
        check_reference(reference)?;
        match self.docker.inspect_image(reference).await {
            Ok(image) => Ok(Some(ImageInfo {
                id: image.id.unwrap_or_default(),
                digest: image.repo_digests.and_then(|digests| digests.into_iter().next()),
                size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0),
                labels: image.config.and_then(|config| config.labels).unwrap_or_default(),
            })),
            Err(ClientError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.error(&format!("look for image {reference}"), error)),
        }
    }

    /// Pulls an image from its registry; `progress` gets short lines, a few a second.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`] with what the registry said; [`SandboxError::Engine`] if the
    /// engine is gone.
    pub async fn pull(
        &self,
        reference: &str,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<(), SandboxError> {
        check_reference(reference)?;
        let (name, tag) = split_reference(reference);
        let options = CreateImageOptionsBuilder::new().from_image(name).tag(tag).build();
        let mut stream = self.docker.create_image(Some(options), None, None);
        while let Some(step) = stream.next().await {
            match step {
                Ok(step) => {
                    let Some(status) = step.status else { continue };
                    // Lines about single layers' bytes come by the hundred.
                    if step.progress_detail.is_none_or(|detail| detail.total.is_none()) {
                        let layer = step.id.map(|id| format!("{id}: ")).unwrap_or_default();
                        progress(format!("{reference}: {layer}{status}"));
                    }
                }
                Err(error) if is_unreachable(&error) => {
                    return Err(self.error(&format!("pull {reference}"), error));
                }
                Err(error) => {
                    return Err(SandboxError::ImageMissing {
                        image: reference.to_owned(),
                        detail: pull_detail(reference, &error),
                    });
                }
            }
        }
        Ok(())
    }

    /// Makes an image of a container's file system under the name `reference`, and answers its
    /// id. Our labels and the keep-alive command are not handed on; `changes` are further
    /// Dockerfile instructions (`ENV`, `LABEL`, `WORKDIR`, `CMD`).
    ///
    /// # Errors
    /// [`SandboxError`] if the engine cannot.
    pub async fn commit(
        &self,
        container: &Container,
        reference: &str,
        changes: &[String],
    ) -> Result<String, SandboxError> {
        check_reference(reference)?;
        let (name, tag) = split_reference(reference);
        let mut instructions =
            vec![unmark_instructions(), "ENTRYPOINT []".to_owned(), r#"CMD ["bash"]"#.to_owned()];
        instructions.extend_from_slice(changes);
        let options = CommitContainerOptionsBuilder::new()
            .container(container.id())
            .repo(name)
            .tag(tag)
            .pause(true)
            .changes(&instructions.join("\n"))
            .build();
        let committed = self.docker.commit_container(options, ContainerConfig::default()).await;
        Ok(committed.map_err(|e| self.error(&format!("make image {reference}"), e))?.id)
    }

    /// Gives an image a further name.
    ///
    /// # Errors
    /// [`SandboxError`] if there is no such image, or the engine cannot.
    pub async fn tag(&self, image: &str, reference: &str) -> Result<(), SandboxError> {
        check_reference(image)?;
        check_reference(reference)?;
        let (name, tag) = split_reference(reference);
        let options = TagImageOptionsBuilder::new().repo(name).tag(tag).build();
        let tagged = self.docker.tag_image(image, Some(options)).await;
        tagged.map_err(|e| self.error(&format!("name image {image} {reference}"), e))
    }

    /// Removes an image (or one name of it, if it has more); `Ok` if it is not there.
    ///
    /// # Errors
    /// [`SandboxError`] if it is in use, or the engine cannot.
    pub async fn remove_image(&self, reference: &str) -> Result<(), SandboxError> {
        check_reference(reference)?;
        let options = RemoveImageOptionsBuilder::new().force(false).noprune(false).build();
        match self.docker.remove_image(reference, Some(options), None).await {
            Ok(_) | Err(ClientError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(error) => Err(self.error(&format!("remove image {reference}"), error)),
        }
    }

    /// A client's error as ours: an engine that is gone is told from a call that it refused.
    pub(super) fn error(&self, action: &str, error: ClientError) -> SandboxError {
        if is_unreachable(&error) {
            let source = match self.tunnel.as_ref().and_then(|tunnel| tunnel.said()) {
                Some(said) => format!("{error}: ssh says: {said}").into(),
                None => error.into(),
            };
            SandboxError::Engine { host: self.host.to_string(), source }
        } else {
            SandboxError::Call { action: action.to_owned(), source: Box::new(error) }
        }
    }
}

/// Whether the engine did not answer at all, or not to the end.
fn is_unreachable(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::HyperResponseError { .. }
            | ClientError::HyperLegacyError { .. }
            | ClientError::IOError { .. }
            | ClientError::SocketNotFoundError(_)
            | ClientError::RequestTimeoutError
    )
}

/// The engine's address is built from it, so nothing that means something there may occur.
fn check_reference(reference: &str) -> Result<(), SandboxError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if !reference.is_empty() && reference.chars().all(allowed) && !reference.contains("..") {
        return Ok(());
    }
    Err(SandboxError::ImageMissing {
        image: format!("{reference:?}"),
        detail: "this is not an image reference (NAME:TAG or NAME@DIGEST)".to_owned(),
    })
}

/// Name and tag or digest. Without a tag it is `latest`: the engine would pull all tags otherwise.
fn split_reference(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, digest);
    }
    match reference.rsplit_once(':') {
        // In `host:5000/name` the colon belongs to the port.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// What the registry said, and the way out.
fn pull_detail(reference: &str, error: &ClientError) -> String {
    let message = match error {
        ClientError::DockerResponseServerError { message, .. } => message.clone(),
        ClientError::DockerStreamError { error } => error.clone(),
        other => other.to_string(),
    };
    let lower = message.to_ascii_lowercase();
    let hint = if lower.contains("toomanyrequests") || lower.contains("rate limit") {
        "the registry limits pulls: `docker login`, then `docker pull` it by hand, or wait"
    } else if lower.contains("unauthorized") || lower.contains("denied") {
        "it does not exist or needs a login: check the name, or `docker pull` it by hand"
    } else if lower.contains("not found") || lower.contains("manifest unknown") {
        "check the name and tag"
    } else {
        "is the registry reachable? an image that is already here is never pulled"
    };
    format!("{} ({hint}: {reference})", message.trim())
}

/// Whether a pull that failed with this detail is worth a second attempt.
pub(super) fn is_transient(detail: &str) -> bool {
    let lower = detail.to_ascii_lowercase();
    ["timeout", "connection reset", "eof", "temporary failure", "503", "502", "500 internal"]
        .iter()
        .any(|sign| lower.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_split_at_the_tag_and_not_at_a_port() {
        assert_eq!(split_reference("a/b"), ("a/b", "latest"));
        assert_eq!(split_reference("a/b:v2"), ("a/b", "v2"));
        assert_eq!(split_reference("host:5000/a/b"), ("host:5000/a/b", "latest"));
        assert_eq!(split_reference("host:5000/a:v2"), ("host:5000/a", "v2"));
        assert_eq!(split_reference("a@sha256:00ff"), ("a", "sha256:00ff"));
    }

    #[test]
    fn what_is_no_reference_is_refused_before_the_engine_sees_it() {
        for bad in ["", "a b", "a?x=1", "a#b", "../x", "é:1", "a\n"] {
            assert!(check_reference(bad).is_err(), "{bad:?}");
        }
        assert!(check_reference("reg.example:5000/a_b/c-d:v1.2@sha256:ab").is_ok());
    }

    #[test]
    fn a_pull_limit_is_told_with_the_way_out() {
        let error = ClientError::DockerStreamError {
            error: "toomanyrequests: You have reached your pull rate limit.".to_owned(),
        };
        let detail = pull_detail("x:1", &error);
        assert!(detail.contains("docker login"), "{detail}");
        assert!(!is_transient(&detail));
        assert!(is_transient("net/http: TLS handshake timeout"));
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named() {
        for host in ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "what://x"] {
            match Engine::connect_to(host).await {
                Err(SandboxError::Engine { host: named, .. }) => assert_eq!(named, host),
                other => panic!("{:?}", other.map(|_| "connected")),
            }
        }
    }
}
