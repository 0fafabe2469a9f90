//! Is a prediction right, by the benchmark's own tests? Applies it in a fresh session, runs the
//! gold tests there, and grades their log by the rules of SWE-bench's harness 5.0.2.
//!
//! Stricter than the harness in two places: a gold test patch that does not apply is an error of
//! the evaluation and not a verdict about the prediction, and results are kept by the content of
//! patch and row, so a changed patch is never answered with an old verdict.

mod apply;
mod grade;
mod paths;
mod predictions;
mod record;
mod report;
mod run;
mod script;
mod session;
#[cfg(test)]
mod trial;

pub use grade::{InstanceReport, Sorted, TestsStatus, grade};
pub use predictions::{Predictions, PredictionsError};
pub use record::{ErrorKind, Verdict};
pub use report::{RunError, RunReport};
pub use run::{EvaluateConfig, EvaluateError, Evaluation, SpecError, evaluate};
