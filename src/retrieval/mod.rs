//! Which files look like an issue, without a model.
//!
//! [`rank`] reads the issue (`issue`), parses and indexes the files (`corpus`, `index`), lets
//! each signal order them (`signal`, one file a family) and fuses the orders by reciprocal rank
//! (`fuse`). The table of signals and weights is in `lists.rs`; a new signal is one more row.
//! The result depends on the input alone.

mod corpus;
mod fuse;
mod index;
mod issue;
mod lists;
mod modules;
mod places;
mod rank;
mod role;
mod signal;
mod terms;

pub use places::{Described, FEATURES, describe, places};
pub use rank::{PastCommit, PastFile, RetrievalInput, SourceFile, rank};
pub use role::{Role, role};
