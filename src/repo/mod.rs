//! The repository at the base commit, straight from git's object database.

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RepoError {}
