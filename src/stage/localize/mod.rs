//! Instance to localization: which files the issue is about, by retrieval, by the model's answers
//! over the rendered tree, or by both fused; and below the files, which classes, functions and
//! lines are worth showing.

mod answer;
mod below;
mod config;
mod fusion;
mod naming;
mod run;
mod skeleton;
mod tree;

pub use config::{LocalizeConfig, Localizer, PlacesFrom, Vary};
pub use run::{given, localize};
