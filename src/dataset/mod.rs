//! Which instances are there: benchmark rows in, and apart from them what graders may know.
//!
//! Gold patches, gold tests and test lists live in this module and nowhere else; hints are never
//! read at all. No stage may import it.

mod commands;
pub mod commit;
mod error;
mod fields;
mod files;
mod gold;
mod hub;
mod image;
mod known;
mod load;
mod own;
mod parquet;
mod row;
pub mod sample;
#[cfg(test)]
#[path = "../../tests/it/parquet_rows.rs"]
mod test_parquet;

pub use commands::is_benchmark_repo;
pub use error::{DatasetError, Place};
pub use gold::{EvalType, Gold};
pub use hub::{Hub, HubError, HubName, Taken};
pub use image::{ImageNaming, ImageTemplate, ImageTemplateError};
pub use known::{Here, KNOWN, here, open};
pub use load::{Dataset, Row};
pub use own::{OwnError, OwnIssue, own};
pub use parquet::ParquetFault;
