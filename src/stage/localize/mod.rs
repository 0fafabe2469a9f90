//! Instance to localization: which files the issue is about, by retrieval, by the model's answers
//! over the rendered tree, or by both fused.

mod answer;
mod config;
mod files;
mod fusion;
mod run;
mod tree;

pub use config::{LocalizeConfig, Localizer};
pub use files::{features, retrieve, retrieve_with};
pub use run::localize;
