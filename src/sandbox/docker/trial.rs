//! Helpers of the tests that need a daemon.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::artifact::InstanceId;
use crate::sandbox::docker::{Container, ContainerSpec, Engine};
use crate::sandbox::{EnvironmentSpec, Limits, TreeSource};

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

/// A tree of a few files.
pub(crate) struct Files(pub(crate) Vec<(&'static str, String)>);

impl Files {
    /// A package in a `src` layout that can be installed without a network, with a marker that
    /// makes its digest its own.
    pub(crate) fn package(marker: &str) -> Self {
        let setup = "from setuptools import setup\nsetup(name='trial', version='1', \
                     package_dir={'': 'src'}, packages=['trial'])\n";
        Self(vec![
            ("setup.py", setup.to_owned()),
            ("src/trial/__init__.py", "ANSWER = 41\n".to_owned()),
            ("docs/odd name \u{e9}'\"$.txt", marker.to_owned()),
            (".gitignore", "*.log\n*.egg-info\n__pycache__/\n".to_owned()),
            ("kept.log", "tracked although ignored\n".to_owned()),
        ])
    }
}

impl TreeSource for Files {
    fn id(&self) -> String {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(format!("{:?}", self.0));
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn write_to(&self, dir: &Path) -> io::Result<()> {
        for (path, content) in &self.0 {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap())?;
            fs::write(path, content)?;
        }
        Ok(())
    }
}

/// An instance without an image.
pub(crate) fn spec(marker: &str, install: Option<&str>) -> EnvironmentSpec {
    EnvironmentSpec {
        instance: instance(),
        image: None,
        tree: Arc::new(Files::package(marker)),
        install: install.map(str::to_owned),
        base_commit: None,
        as_published: false,
    }
}
