//! Which images are ours, which of a dataset's are here, and how ours go away again.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, InstanceId, Leak, LeakAction, LeakReport};
use crate::event::Events;
use crate::sandbox::SandboxError;
use crate::sandbox::docker::{DockerSandbox, Engine, ImageInfo, SEAL_LABEL, TREE_LABEL};

/// Prefix of our labels. Containers of ours carry others, which images do not inherit.
const PREFIX: &str = "agent.image.";

/// Label that every image of ours has.
const KIND: &str = "kind";

/// What an image of ours is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requirements on a base image.
    Environment,
    /// A tree, installed.
    Instance,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Instance => "instance",
        }
    }

    /// Whether an image is ours, of this kind, and made of these inputs.
    pub(crate) fn is_made_from(self, info: &ImageInfo, inputs: &str) -> bool {
        label(info, KIND) == Some(self.name()) && label(info, "inputs") == Some(inputs)
    }
}

/// A label of ours.
pub(crate) fn label<'a>(info: &'a ImageInfo, name: &str) -> Option<&'a str> {
    info.labels.get(&format!("{PREFIX}{name}")).map(String::as_str)
}

/// Dockerfile instructions that label an image. Values are ids, digests and image names, which
/// need no quoting.
pub(crate) fn labels(kind: Kind, inputs: &str, more: &[(&str, &str)]) -> Vec<String> {
    let own = [(KIND, kind.name()), ("inputs", inputs)];
    own.iter().chain(more).map(|(name, value)| format!("LABEL {PREFIX}{name}={value}")).collect()
}

/// SHA-256 of a JSON value's text, hexadecimal.
pub(crate) fn digest(value: &Value) -> String {
    let bytes = Sha256::digest(value.to_string().as_bytes());
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether an instance's image is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageStatus {
    /// Whose image.
    pub instance: InstanceId,
    /// Its name; absent if the instance names none.
    pub image: Option<String>,
    /// Size in bytes, shared layers included, if it is here.
    pub size: Option<u64>,
    /// Whether it was built by us.
    pub ours: bool,
    /// What the leak guard found in it, if it has looked.
    pub leaks: Option<LeakReport>,
}

/// Looks for the images of instances.
///
/// # Errors
/// [`SandboxError`] if the engine does not answer or a name is malformed.
pub async fn check(
    instances: &[Instance],
    engine: &Engine,
) -> Result<Vec<ImageStatus>, SandboxError> {
    let mut statuses = Vec::with_capacity(instances.len());
    for instance in instances {
        let info = match &instance.image {
            Some(image) => engine.image(image).await?,
            None => None,
        };
        statuses.push(ImageStatus {
            instance: instance.id.clone(),
            image: instance.image.clone(),
            size: info.as_ref().map(|info| info.size),
            ours: info.is_some_and(|info| label(&info, KIND).is_some()),
            leaks: None,
        });
    }
    Ok(statuses)
}

/// As [`check`], and looks through the images that are here with the leak guard, as a run would.
///
/// # Errors
/// As [`check`]; an image without a repository is told in its record.
pub async fn guard(
    instances: &[Instance],
    sandbox: &DockerSandbox,
) -> Result<Vec<ImageStatus>, SandboxError> {
    let mut statuses = check(instances, sandbox.engine()).await?;
    for (status, instance) in statuses.iter_mut().zip(instances) {
        if let (Some(image), Some(_)) = (&status.image, status.size) {
            let base = Some(instance.base_commit.as_str());
            let looked = sandbox.look_through(&status.instance, image, base).await;
            status.leaks = Some(match looked {
                Err(SandboxError::Setup { detail, .. }) => unfit(detail),
                looked => looked?,
            });
        }
    }
    Ok(statuses)
}

/// The record of an image that cannot be looked through.
fn unfit(detail: String) -> LeakReport {
    let leak = Leak { kind: "image".to_owned(), action: LeakAction::Unchecked, count: 1, detail };
    LeakReport { found: vec![leak], ..LeakReport::default() }
}

/// Pulls the images of instances that are not here; instances that name none are passed over.
/// Answers the images that could not be had, with the reason.
///
/// # Errors
/// [`SandboxError::Engine`] if the engine is gone.
pub async fn pull(
    instances: &[Instance],
    engine: &Engine,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Vec<(String, SandboxError)>, SandboxError> {
    let mut missing = Vec::new();
    for status in check(instances, engine).await? {
        let Some(image) = status.image.filter(|_| status.size.is_none()) else { continue };
        let events = events.of(&status.instance);
        let progress = |line| events.notice(line);
        let pulled = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            pulled = engine.pull(&image, &progress) => pulled,
        };
        match pulled {
            Ok(()) => {}
            Err(error @ SandboxError::Engine { .. }) => return Err(error),
            Err(error) => missing.push((image, error)),
        }
    }
    Ok(missing)
}

/// What [`prune`] did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// Names of removed images.
    pub removed: Vec<String>,
    /// Images that could not be removed, with the reason.
    pub kept: Vec<(String, SandboxError)>,
}

/// Removes images that carry our labels, and no others: those of `only`, or (if absent) all of
/// ours with the environments below them and the images that sandboxes made of trees. Images in
/// use are kept.
///
/// # Errors
/// [`SandboxError`] if the engine cannot list images.
pub async fn prune(only: Option<&[String]>, engine: &Engine) -> Result<Pruned, SandboxError> {
    let mut ours = engine.images_labelled(&format!("{PREFIX}{KIND}")).await?;
    if only.is_none() {
        // What the sandbox made of trees that have no image of their own.
        ours.extend(engine.images_labelled(TREE_LABEL).await?);
        // What the leak guard made of the images of others.
        ours.extend(engine.images_labelled(SEAL_LABEL).await?);
    }
    // Instances before the environments that they are made from.
    let mut order: BTreeMap<(bool, String), String> = BTreeMap::new();
    for image in ours {
        let environment = image.labels.get(&format!("{PREFIX}{KIND}")).map(String::as_str)
            == Some(Kind::Environment.name());
        let names = if image.names.is_empty() { vec![image.id.clone()] } else { image.names };
        for name in names {
            let named = only.is_some_and(|only| only.iter().any(|wanted| same(wanted, &name)));
            if only.is_none() || named {
                order.insert((environment, name.clone()), name);
            }
        }
    }
    let mut pruned = Pruned::default();
    for name in order.into_values() {
        match engine.remove_image(&name).await {
            Ok(()) => pruned.removed.push(name),
            Err(error @ SandboxError::Engine { .. }) => return Err(error),
            Err(error) => pruned.kept.push((name, error)),
        }
    }
    Ok(pruned)
}

/// Whether two names mean one image; the tag may be left out for `latest`.
fn same(wanted: &str, name: &str) -> bool {
    wanted == name || name.strip_suffix(":latest") == Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(pairs: &[(&str, &str)]) -> ImageInfo {
        ImageInfo {
            id: "sha256:00".to_owned(),
            digest: None,
            size: 0,
            labels: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    #[test]
    fn an_image_is_reused_only_if_ours_and_made_of_the_same() {
        let made = info(&[("agent.image.kind", "instance"), ("agent.image.inputs", "aa")]);
        assert!(Kind::Instance.is_made_from(&made, "aa"));
        assert!(!Kind::Instance.is_made_from(&made, "bb"));
        assert!(!Kind::Environment.is_made_from(&made, "aa"));
        assert!(!Kind::Instance.is_made_from(&info(&[("inputs", "aa")]), "aa"));
    }

    #[test]
    fn digests_tell_inputs_apart() {
        let one = digest(&serde_json::json!({"install": "a", "commit": "b"}));
        assert_eq!(one.len(), 64);
        assert_eq!(one, digest(&serde_json::json!({"install": "a", "commit": "b"})));
        assert_ne!(one, digest(&serde_json::json!({"install": "b", "commit": "a"})));
    }

    #[test]
    fn a_name_without_tag_is_the_latest() {
        assert!(same("agent/x", "agent/x:latest"));
        assert!(same("agent/x:v1", "agent/x:v1"));
        assert!(!same("agent/x", "agent/x:v1"));
    }
}
