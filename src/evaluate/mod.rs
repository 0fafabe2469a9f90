//! Is a prediction right, by the benchmark's own tests? Applies it in a fresh session, runs the
//! gold tests there, and grades their log by the rules of SWE-bench's harness 5.0.2.
//!
//! [`Rules`] says whose mistakes are kept: by default none (a gold test patch that does not apply
//! is an error of the evaluation and not a verdict about the prediction, and so on), else those
//! of the harness 5.0.2 or 4.1.0. Results are kept by the content of patch, row and rules, so a
//! changed patch is never answered with an old verdict.

mod again;
mod apply;
mod as_harness;
#[cfg(test)]
mod compat_tests;
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

pub use again::Again;
pub use grade::{InstanceReport, Sorted, TestsStatus, grade};
pub use predictions::{Predictions, PredictionsError};
pub use record::{ErrorKind, Verdict};
pub use report::{RunError, RunReport};
pub use run::{EvaluateConfig, EvaluateError, Evaluation, SpecError, evaluate};

pub use crate::artifact::Rules;
