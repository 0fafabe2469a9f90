//! The leak guard: an image that others made is looked through once, cleaned, and kept under a name
//! of ours together with the record of what was found. Sessions start from that image and need no
//! preparation of their own.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::artifact::{InstanceId, Leak, LeakAction, LeakReport};
use crate::sandbox::capture::end_of;
use crate::sandbox::config::LeakPolicy;
use crate::sandbox::docker::{Container, DockerSandbox, ExecSpec, ImageInfo};
use crate::sandbox::{ExecStatus, SandboxError};

/// Label that holds the record, as JSON.
pub const SEAL_LABEL: &str = "agent.seal";

/// Looks and cleans. Its head says what it prints.
const LEAKS: &str = include_str!("../scripts/leaks.sh");

/// Changes when images must be looked through anew.
const RECIPE: &str = "1";

/// A repository of 500 thousand objects takes 6 seconds to look through and 20 to clean.
const PATIENCE: Duration = Duration::from_secs(1200);

impl DockerSandbox {
    /// What the leak guard finds in an image that is here; `base` is the commit that its HEAD should
    /// be or have as its parent.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`]; [`SandboxError::Setup`] if it holds no repository; an
    /// engine's failure.
    pub async fn look_through(
        &self,
        instance: &InstanceId,
        image: &str,
        base: Option<&str>,
    ) -> Result<LeakReport, SandboxError> {
        let info = self.engine.image(image).await?.ok_or_else(|| SandboxError::ImageMissing {
            image: image.to_owned(),
            detail: "it is not here".to_owned(),
        })?;
        Ok(self.sealed(instance, image, &info, base).await?.1)
    }

    /// The image to start from in place of `image`, and what was found in that.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] if it holds no repository; an engine's failure.
    pub(super) async fn sealed(
        &self,
        instance: &InstanceId,
        image: &str,
        info: &ImageInfo,
        base: Option<&str>,
    ) -> Result<(String, LeakReport), SandboxError> {
        let (sealed, mut report) = self.sealed_image(instance, image, info).await?;
        if let Some(base) = base
            && report.head != base
            && !report.parents.iter().eq([base])
        {
            report.found.push(self.stray_head(instance, &sealed, base).await?);
        }
        Ok((sealed, report))
    }

    async fn sealed_image(
        &self,
        instance: &InstanceId,
        image: &str,
        info: &ImageInfo,
    ) -> Result<(String, LeakReport), SandboxError> {
        let reference = format!("agent-sealed:{}", key(&info.id, self.config.leaks));
        if let Some(report) = self.engine.image(&reference).await?.as_ref().and_then(report_of) {
            return Ok((reference, report));
        }
        let mut limits = self.config.limits();
        limits.lifetime = limits.lifetime.max(2 * PATIENCE);
        let mut spec = self.container_spec(image, instance, &limits);
        "none".clone_into(&mut spec.network);
        let container = self.engine.create(&spec).await?;
        let sealed = self.seal(&container, image, &reference).await;
        container.remove().await;
        Ok((reference, sealed?))
    }

    async fn seal(
        &self,
        container: &Container,
        image: &str,
        reference: &str,
    ) -> Result<LeakReport, SandboxError> {
        let setup = |detail: String| SandboxError::Setup {
            instance: container.instance().clone(),
            detail: format!("image {image} does not fit: {detail}"),
        };
        let exec = ExecSpec::script(LEAKS)
            .in_directory("/")
            .timeout(PATIENCE)
            .env("AGENT_LEAKS", self.config.leaks.name());
        let output = container.exec(&exec).await?;
        if output.status != ExecStatus::Exited(0) {
            return Err(setup(end_of(&output.text(), 1000).to_owned()));
        }
        let report = read(&output.text()).map_err(setup)?;
        let json = serde_json::to_string(&report).unwrap_or_default();
        let label = format!("LABEL {SEAL_LABEL}=\"{}\"", quoted(&json));
        self.engine.commit(container, reference, &[label]).await?;
        Ok(report)
    }

    /// How HEAD stands to the base commit, where it is neither the base commit nor its child.
    ///
    /// # Errors
    /// An engine's failure.
    async fn stray_head(
        &self,
        instance: &InstanceId,
        image: &str,
        base: &str,
    ) -> Result<Leak, SandboxError> {
        let spec = self.container_spec(image, instance, &self.config.limits());
        let container = self.engine.create(&spec).await?;
        let script = "git cat-file -e \"$AGENT_BASE^{commit}\" 2>/dev/null || { echo unknown; exit; }
            echo $(git rev-list --count \"$AGENT_BASE..HEAD\") $(git rev-list --count \"HEAD..$AGENT_BASE\")";
        let output = container.exec(&ExecSpec::script(script).env("AGENT_BASE", base)).await;
        container.remove().await;
        Ok(stray(output?.text().trim()))
    }
}

/// Reads the answer about a HEAD that is not where it should be: `unknown`, or how many commits it
/// is ahead and behind.
fn stray(said: &str) -> Leak {
    let kind = "head".to_owned();
    let counts: Option<(u64, u64)> =
        said.split_once(' ').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match counts {
        Some((ahead, behind)) => Leak {
            kind,
            action: LeakAction::Kept,
            count: ahead,
            detail: format!("HEAD is {ahead} commits ahead of the base commit and {behind} behind"),
        },
        None => Leak {
            kind,
            action: LeakAction::Unchecked,
            count: 0,
            detail: "the image's repository does not know the base commit".to_owned(),
        },
    }
}

/// The record of an image of this kind.
#[must_use]
pub fn report_of(info: &ImageInfo) -> Option<LeakReport> {
    serde_json::from_str(info.labels.get(SEAL_LABEL)?).ok()
}

/// Names the image: first 16 hex digits of a digest of all that it is made of.
fn key(image: &str, policy: LeakPolicy) -> String {
    let mut digest = Sha256::new();
    // To refuse an image it is looked through as for a warning.
    let what = if policy == LeakPolicy::Remove { "clean" } else { "look" };
    for part in [RECIPE, LEAKS, image, what] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// For a word in double quotes of a Dockerfile instruction, where variables are replaced.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// Reads what the script printed; answers the output itself if it is none of that.
fn read(text: &str) -> Result<LeakReport, String> {
    let mut report = LeakReport::default();
    for line in text.lines() {
        let mut fields = line.splitn(4, '\t');
        let (Some(kind), Some(action), Some(count), Some(detail)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            // A tool's complaint.
            continue;
        };
        if (kind, action) == ("head", "is") {
            let mut ids = detail.split(' ').map(str::to_owned);
            report.head = ids.next().unwrap_or_default();
            report.parents = ids.filter(|id| !id.is_empty()).collect();
            continue;
        }
        let action = [
            LeakAction::Removed,
            LeakAction::Found,
            LeakAction::Kept,
            LeakAction::Equal,
            LeakAction::Unchecked,
        ]
        .into_iter()
        .find(|known| known.name() == action);
        let (Some(action), Ok(count)) = (action, count.trim().parse()) else { continue };
        report.found.push(Leak {
            kind: kind.to_owned(),
            action,
            count,
            // It is shown on terminals, and names in an image may hold anything.
            detail: detail.chars().filter(|c| !c.is_control()).collect(),
        });
    }
    if report.head.is_empty() {
        return Err(format!("the leak guard did not end: {}", end_of(text, 500)));
    }
    Ok(report)
}

#[cfg(test)]
mod tests;
