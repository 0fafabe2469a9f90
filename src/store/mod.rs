//! The run directory: typed, atomic, resumable.
//!
//! An artifact counts as finished only when `stages.json` names the stage with the digest of its
//! inputs; that file is replaced atomically after the artifact. Rows of `tests.jsonl` and
//! `executions.jsonl` are appended as they become final, so a killed process loses only what was
//! running; a torn last line is cut off when the file is next opened.

mod files;
mod instance;
mod run;
mod worker;

pub use files::StoreError;
pub use instance::{InstanceDir, StageRecord};
pub use run::{ImageLock, RunDir, RunRecord};
pub use worker::{AtWork, Worker};
