//! The repository at the base commit, straight from git's object database.
