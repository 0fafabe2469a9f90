//! Helpers of the tests that need a daemon.

use std::time::Duration;

use crate::artifact::InstanceId;
use crate::sandbox::Limits;
use crate::sandbox::docker::{Container, ContainerSpec, Engine};

/// The base image that `docker/base.sh` makes.
pub(crate) const BASE: &str = "agent-base:bookworm";

/// The daemon with the base image; where there is none the caller returns, and a line says so.
pub(crate) async fn engine() -> Option<Engine> {
    let missing = match Engine::connect().await {
        Err(error) => error.to_string(),
        Ok(engine) => match engine.image(BASE).await {
            Ok(Some(_)) => return Some(engine),
            Ok(None) => format!("no image {BASE}; docker/base.sh makes it"),
            Err(error) => error.to_string(),
        },
    };
    // A skipped test must be seen to be skipped; tests may write to the terminal.
    let _ = std::io::Write::write_all(
        &mut std::io::stderr(),
        format!("skipped, needs Docker: {missing}\n").as_bytes(),
    );
    None
}

/// Tight limits, so that a test that goes wrong hurts nobody.
pub(crate) fn limits() -> Limits {
    Limits {
        memory_bytes: 256 << 20,
        pids: 64,
        cpus: 2.0,
        output_bytes: 1 << 20,
        lifetime: Duration::from_secs(120),
    }
}

pub(crate) fn instance() -> InstanceId {
    InstanceId::new("trial__trial-1").expect("it is valid")
}

/// A container of the base image.
pub(crate) async fn container(engine: &Engine) -> Container {
    engine.create(&ContainerSpec::new(BASE, instance(), limits())).await.unwrap()
}
