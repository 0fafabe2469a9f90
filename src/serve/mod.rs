//! The reward over HTTP, in the shapes that trainers send.
//!
//! A request is read within limits ([`body`]), understood by its [`shape`], admitted or refused as
//! a whole ([`gate`]), and every item of it is scored before a deadline ([`scorer`]): by similarity
//! ([`crate::reward`]) or by running the hidden tests ([`verdicts`], [`grader`]). A failure that is
//! not the model's is masked and never becomes a number.

mod answer;
mod body;
mod config;
mod gate;
mod grader;
mod item;
mod json;
mod label;
mod metrics;
mod oracle;
mod refusal;
mod routes;
mod scorer;
mod server;
mod shape;
mod verdicts;

pub use config::{Kind, Limits, ServeError};
pub use grader::{Describe, Grader, SandboxSource};
pub use oracle::Oracles;
pub use scorer::Scorer;
pub use server::Server;
