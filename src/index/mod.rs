//! What is known of a repository, kept between runs: an inverted index over its blobs and the
//! record of its commits.
//!
//! Both are keyed by what git names by content, so the next commit costs what changed, and a
//! ranking never depends on what else is kept. All of it may be deleted at any time.

mod cache;
mod files;
mod history;
mod opened;
mod repository;
#[cfg(test)]
mod tests;
mod vectors;

pub use cache::{IndexCache, Kept};
pub use files::candidates;
pub use opened::Opened;
pub use repository::{IndexSize, RepoIndex};
pub use vectors::VectorKey;
