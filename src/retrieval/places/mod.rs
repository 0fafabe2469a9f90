//! Which functions, classes and other blocks of the ranked files an issue is about, without a
//! model.
//!
//! [`places`] divides each file into blocks ([`crate::source::blocks`]), describes each block by a
//! few numbers (`features`, from what `cues` reads out of the issue), and turns them into the
//! probability that a fix of this file changes the block (`weights`, fitted by
//! `evaluation/localization/fit_places.py`). The result depends on the input alone.

mod cues;
mod features;
mod score;
mod weights;

pub use features::FEATURES;
pub use score::{Described, SourceFile, describe, places};
