//! The five verbs.
