//! A container in which something is built: bounded, removed in every case, and able to reach the
//! package index as this machine does.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::artifact::InstanceId;
use crate::images::ImageError;
use crate::sandbox::docker::{Container, ContainerSpec, Engine, ExecSpec};
use crate::sandbox::{ExecOutput, ExecStatus, HostNetwork, Limits};

/// Where the certificates lie in a build container; removed before it is committed.
pub(crate) const CA_PATH: &str = "/agent-build/ca.pem";

/// Longest life of a build container.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Longest time of one step.
const STEP: Duration = Duration::from_secs(1800);

/// Output that a step may write.
const OUTPUT_BYTES: usize = 64 << 20;

/// Lines of a failed step's output that are shown.
const LOG_LINES: usize = 25;

/// Everything that building needs of the outside.
#[derive(Clone, Copy)]
pub(crate) struct Workshop<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) cancel: &'a CancellationToken,
    /// Absent: no network in the container.
    pub(crate) network: Option<&'a HostNetwork>,
}

impl Workshop<'_> {
    /// Runs `work` in a fresh container of `image` and removes the container.
    ///
    /// # Errors
    /// What `work` says, [`ImageError::Cancelled`], or the engine's failure.
    pub(crate) async fn with<T>(
        &self,
        image: &str,
        instance: &InstanceId,
        work: impl AsyncFnOnce(&Container) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let limits = Limits {
            memory_bytes: 8 << 30,
            pids: 2048,
            cpus: std::thread::available_parallelism().map_or(2.0, |n| n.get() as f64),
            output_bytes: OUTPUT_BYTES,
            lifetime: LIFETIME,
        };
        let mut spec = ContainerSpec::new(image, instance.clone(), limits);
        match self.network {
            // On another machine `localhost` is another one, which does not help.
            Some(network) if network.on_this_machine && self.engine.is_local() => {
                "host".clone_into(&mut spec.network);
            }
            Some(_) => "bridge".clone_into(&mut spec.network),
            None => {}
        }
        let container = self.engine.create(&spec).await?;
        let result = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(ImageError::Cancelled),
            result = work(&container) => result,
        };
        container.remove().await;
        result
    }

    /// Puts this machine's certificates where the settings say.
    ///
    /// # Errors
    /// [`ImageError`] if they cannot be read or uploaded.
    pub(crate) async fn trust(&self, container: &Container) -> Result<(), ImageError> {
        let Some(path) = self.network.and_then(|network| network.ca_bundle.as_ref()) else {
            return Ok(());
        };
        let bytes = std::fs::read(path).map_err(|source| ImageError::Io {
            action: format!("read the certificates {}", path.display()),
            source,
        })?;
        Ok(container.upload("/", &[(CA_PATH.trim_start_matches('/'), &bytes, false)]).await?)
    }

    /// The script in the activated environment, with the network's settings.
    pub(crate) fn script(&self, script: &str) -> ExecSpec {
        let mut spec = ExecSpec::script(script).activated().timeout(STEP);
        spec.output_bytes = OUTPUT_BYTES;
        if let Some(network) = self.network {
            let bundle = network.ca_bundle.as_ref().map(|_| Path::new(CA_PATH));
            for (name, value) in network.variables(bundle) {
                spec = spec.env(&name, &value);
            }
        }
        spec
    }
}

/// Runs a step that must succeed.
///
/// # Errors
/// [`ImageError::Step`] with the end of its output.
pub(crate) async fn step(
    container: &Container,
    spec: &ExecSpec,
    step: &'static str,
    image: &str,
) -> Result<ExecOutput, ImageError> {
    let output = container.exec(spec).await?;
    if output.success() {
        return Ok(output);
    }
    let mut log = end_of(&output.text());
    match output.status {
        ExecStatus::Exited(code) => log.push_str(&format_ending(&format!("exit status {code}"))),
        ExecStatus::TimedOut => log.push_str(&format_ending("it ran past its time limit")),
        ExecStatus::OutputLimit => log.push_str(&format_ending("it wrote too much output")),
    }
    Err(ImageError::Step { step, image: image.to_owned(), log })
}

fn format_ending(text: &str) -> String {
    format!("\n({text})")
}

/// The last lines of an output.
pub(crate) fn end_of(output: &str) -> String {
    let lines: Vec<&str> = output.trim_end().lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}
