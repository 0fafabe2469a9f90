//! The layers below an instance: a base image, and on it an environment with its requirements,
//! which instances with equal requirements share.

use tokio::sync::Mutex;

use crate::artifact::InstanceId;
use crate::event::Events;
use crate::images::ImageError;
use crate::images::inventory::{Kind, digest, labels};
use crate::images::workshop::{Workshop, step};
use crate::sandbox::docker::{Container, ImageInfo};

/// The base image that `docker/base.sh` makes.
pub const LOCAL_BASE: &str = "agent-base:bookworm";

/// pip's version in every environment with requirements: distributions ship versions too old for
/// editable installs of `pyproject.toml` projects.
pub const PIP: &str = "24.0";

/// Python of a public base image, where no version is asked for.
const PUBLIC_PYTHON: &str = "3.11";

/// Held from looking for an environment to having it, so that two builds that share one do not
/// both make it.
static MAKING: Mutex<()> = Mutex::const_new(());

const REQUIREMENTS: &str = include_str!("scripts/requirements.sh");

/// What an environment is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment<'a> {
    /// The base image; [`LOCAL_BASE`] or a public one, if absent.
    pub(crate) base: Option<&'a str>,
    /// Python version such as `3.11`; whatever the base has, if absent.
    pub(crate) python: Option<&'a str>,
    /// pip requirements.
    pub(crate) requirements: &'a [String],
}

/// The image of an environment.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// Its name.
    pub(crate) image: String,
    /// Digest of what it was made of.
    pub(crate) inputs: String,
}

impl Environment<'_> {
    /// Finds the image or builds it.
    ///
    /// # Errors
    /// [`ImageError::NoBase`], [`ImageError::Python`], or a failed installation.
    pub(crate) async fn ready(
        &self,
        workshop: &Workshop<'_>,
        instance: &InstanceId,
        events: &Events,
    ) -> Result<Layer, ImageError> {
        let (base, info) = self.base(workshop, events).await?;
        let inputs = digest(&serde_json::json!({
            "base": info.id,
            "python": self.python,
            "pip": PIP,
            "requirements": self.requirements,
            "script": REQUIREMENTS,
        }));
        let image = format!("agent/env:{}", &inputs[..16]);
        let _making = MAKING.lock().await;
        let present = workshop.engine.image(&image).await?;
        if present.is_some_and(|info| Kind::Environment.is_made_from(&info, &inputs)) {
            return Ok(Layer { image, inputs });
        }
        events.notice(format!("{instance}: installing the requirements on {base}"));
        workshop
            .with(&base, instance, async |container| {
                self.install(workshop, container, &base).await?;
                let mut changes = labels(Kind::Environment, &inputs, &[("base", &base)]);
                changes.push("WORKDIR /testbed".to_owned());
                workshop.engine.commit(container, &image, &changes).await?;
                Ok(())
            })
            .await?;
        Ok(Layer { image, inputs })
    }

    /// The base image that was asked for, else the local one, else a public one.
    async fn base(
        &self,
        workshop: &Workshop<'_>,
        events: &Events,
    ) -> Result<(String, ImageInfo), ImageError> {
        let engine = workshop.engine;
        let local = self.base.unwrap_or(LOCAL_BASE);
        if let Some(info) = engine.image(local).await? {
            return Ok((local.to_owned(), info));
        }
        let public = self.base.map_or_else(
            || format!("python:{}-bookworm", self.python.unwrap_or(PUBLIC_PYTHON)),
            str::to_owned,
        );
        if let Some(info) = engine.image(&public).await? {
            return Ok((public, info));
        }
        events.notice(format!("pulling {public}: {local} is not on this machine"));
        let missing =
            |source| ImageError::NoBase { base: local.to_owned(), public: public.clone(), source };
        engine.pull(&public, &|line| events.notice(line)).await.map_err(missing)?;
        let info = engine.image(&public).await?;
        let info = info.ok_or_else(|| {
            missing(crate::sandbox::SandboxError::ImageMissing {
                image: public.clone(),
                detail: "it is not there after the pull".to_owned(),
            })
        })?;
        Ok((public, info))
    }

    async fn install(
        &self,
        workshop: &Workshop<'_>,
        container: &Container,
        base: &str,
    ) -> Result<(), ImageError> {
        container.fulfil_contract().await?;
        workshop.trust(container).await?;
        let list: String = self.requirements.iter().map(|line| format!("{line}\n")).collect();
        let file = ("agent-build/requirements.txt", list.as_bytes(), false);
        container.upload("/", &[file]).await?;
        let script = workshop.script(REQUIREMENTS).env("AGENT_PIP", PIP);
        let output = step(container, &script, "the installation of requirements", base).await?;
        let text = output.text();
        let found = text.lines().find_map(|line| line.strip_prefix("python: ")).unwrap_or("?");
        if let Some(wanted) = self.python
            && wanted != found
        {
            return Err(ImageError::Python {
                base: base.to_owned(),
                found: found.to_owned(),
                wanted: wanted.to_owned(),
            });
        }
        let clean =
            workshop.script("rm -rf /agent-build /root/.cache; find /tmp -mindepth 1 -delete");
        step(container, &clean, "tidying up", base).await?;
        Ok(())
    }
}
