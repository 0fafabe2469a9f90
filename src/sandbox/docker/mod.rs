//! Containers: the engine's client, and the sandbox on top of it.

mod container;
mod contract;
mod download;
mod engine;
mod exec;
#[cfg(test)]
mod hostile_tests;
mod listing;
mod owner;
mod repository;
mod seal;
mod session;
mod shell;
mod tree_image;
#[cfg(test)]
pub(crate) mod trial;

pub use container::{Container, ContainerSpec};
pub use contract::{CONDA_ACTIVATE, CONTRACT};
pub use engine::{Engine, ImageInfo};
pub use exec::{ExecSpec, OnOutput};
pub use listing::ListedImage;
pub use seal::{SEAL_LABEL, report_of};
pub use session::DockerSandbox;
pub use tree_image::TREE_LABEL;
