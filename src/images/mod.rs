//! Images in the SWE-bench contract, made locally from a git revision, a source archive or a
//! folder; and the dataset `packages`, made from source releases.
//!
//! Three layers: a base image (`docker/base.sh`, or a public one), an environment with its
//! requirements, and the instance. What an image must provide is said by `scripts/check.sh`,
//! which runs before an image gets its name. Only builds have a network, and nothing of it stays.

mod build;
mod checkout;
mod environment;
mod error;
mod eval_script;
mod files;
mod inventory;
pub mod packages;
mod workshop;

pub use build::{BuildRequest, Built, Variable, VariableError, build, commit_of};
pub use checkout::Source;
pub use environment::{LOCAL_BASE, PIP};
pub use error::ImageError;
pub use eval_script::EvalScriptError;
pub use files::FilesError;
pub use inventory::{ImageStatus, Pruned, check, guard, prune, pull};
