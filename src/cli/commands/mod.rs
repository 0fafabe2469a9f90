//! One file for each command.

pub(crate) mod completions;
pub(crate) mod dataset;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod images;
pub(crate) mod index;
pub(crate) mod inventory;
pub(crate) mod localize;
pub(crate) mod merge;
pub(crate) mod pack;
pub(crate) mod packages;
pub(crate) mod replay;
pub(crate) mod report;
pub(crate) mod rerank;
pub(crate) mod reward;
pub(crate) mod reward_serve;
pub(crate) mod run;
pub(crate) mod solve;
pub(crate) mod stage;
pub(crate) mod status;
