//! Which instances are there: benchmark rows in, and apart from them what graders may know.
//!
//! Gold patches, gold tests and test lists live in this module and nowhere else; hints are never
//! read at all. No stage may import it.

mod commands;
pub mod commit;
mod error;
mod fields;
mod gold;
mod image;
mod known;
mod load;
mod own;
mod row;
pub mod sample;

pub use error::{DatasetError, Place};
pub use gold::{EvalType, Gold};
pub use image::{ImageNaming, ImageTemplate, ImageTemplateError};
pub use known::{KNOWN, known, open};
pub use load::{Dataset, Row};
pub use own::{OwnError, OwnIssue, own};
