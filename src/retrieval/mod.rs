//! Which files look like an issue, without a model.
//!
//! [`rank`] reads the issue (`issue`), parses and indexes the files (`corpus`, `index`), lets
//! each signal order them (`signal`, one file a family) and fuses the orders by reciprocal rank
//! (`fuse`). The table of signals and weights is in `lists.rs`; a new signal is one more row.
//! The result depends on the input alone. [`places`] goes on below the file.

mod blobs;
mod chronicle;
mod corpus;
mod evidence;
mod facts;
mod features;
mod fuse;
mod index;
mod inflect;
mod issue;
mod lists;
mod modules;
mod pass;
mod phrases;
mod places;
mod rank;
mod ranker;
mod role;
mod schema;
mod searches;
mod signal;
mod terms;
#[cfg(test)]
mod testing;

pub use blobs::{BlobIndex, BlobKey, IndexError, Reading, Segments};
pub use chronicle::{CHRONICLE_VERSION, Chronicle, History, PastCommit, PastFile};
pub use corpus::{Corpus, CorpusFile, Plan};
pub use facts::Facts;
pub use features::{Feature, feature_names};
pub(crate) use fuse::reciprocal;
pub use places::{Described, FEATURES as PLACE_FEATURES, SourceFile, describe, places};
pub use rank::{FileFeatures, RankOptions, Scorer, features, list_names, rank};
pub use role::{Role, role};
pub use schema::INDEX_VERSION;
