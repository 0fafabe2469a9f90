//! Which files look like an issue, without a model.
//!
//! [`rank`] reads the issue (`issue`), parses and indexes the files (`corpus`, `index`), lets
//! each signal order them (`signal`, one file a family) and fuses the orders by reciprocal rank
//! (`fuse`). The table of signals and weights is in `lists.rs`; a new signal is one more row.
//! The result depends on the input alone.

mod chunks;
mod corpus;
mod evidence;
mod features;
mod fuse;
mod index;
mod inflect;
mod issue;
mod lists;
mod modules;
mod phrases;
mod rank;
mod ranker;
mod role;
mod signal;
mod terms;

pub use rank::{
    FileFeatures, PastCommit, PastFile, RankOptions, RetrievalInput, Scorer, SourceFile,
    feature_names, features, rank,
};
pub use role::{Role, role};
