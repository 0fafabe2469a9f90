//! SEARCH/REPLACE answers, diffs in git's format, and when two of them are the same change.
//!
//! Pure and synchronous. An answer goes through [`apply_answer`] (parse, match, splice: all edits or
//! none), its changes through [`check_syntax`], [`diff`] and [`classify`], or through a
//! [`Classifier`], which does for many patches of one tree what the first and the last do. [`apply_diff`] takes the
//! other way in, for candidates that another system made.

mod answer;
mod apply;
mod apply_diff;
mod bases;
mod binary;
mod change;
mod class;
mod diff;
mod imports;
mod lines;
mod locals;
mod matching;
mod normal;
mod parse_diff;
mod paths;
mod python;
mod quote;
mod rejection;
mod script;
mod splice;
mod split;
mod strict;
mod syntax;
mod workspace;

pub use apply::{Applied, ApplyOptions, Reading, apply_answer};
pub use apply_diff::apply_diff;
pub use bases::Classifier;
pub use change::{BaseTree, FileChange, FileMode, FileState};
pub use class::{Class, ClassKind, classify, script_class};
pub use diff::diff;
pub use rejection::{ReasonCode, Rejection};
pub use script::extract_script;
pub use syntax::check_syntax;

#[cfg(test)]
mod tests;
