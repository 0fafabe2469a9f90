//! Containers: the engine's client, and the sandbox on top of it.

mod abilities;
mod address;
mod container;
mod contract;
mod download;
mod engine;
mod exec;
mod fleet;
mod fleet_session;
mod host;
#[cfg(test)]
mod hostile_tests;
mod listing;
mod owner;
mod reach;
mod repository;
mod seal;
mod session;
mod shell;
mod tree_image;
#[cfg(test)]
pub(crate) mod trial;
mod tunnel;

use abilities::Abilities;
pub use address::{Address, SshTarget, default_host};
pub use container::{Container, ContainerSpec};
pub use contract::{CONDA_ACTIVATE, CONTRACT};
pub use engine::{Engine, ImageInfo};
pub use exec::{ExecSpec, OnOutput};
pub use fleet::Fleet;
pub use listing::ListedImage;
pub use seal::{SEAL_LABEL, report_of};
pub use session::DockerSandbox;
pub use tree_image::TREE_LABEL;
