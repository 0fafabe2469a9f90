//! The script in a model's reproduce answer.
use crate::patch::{ReasonCode, Rejection};

/// The script.
///
/// # Errors
/// `no_script` when there is none.
pub fn extract_script(_answer: &str) -> Result<String, Rejection> {
    Err(Rejection::new(ReasonCode::NoScript, "the answer holds no fenced block"))
}
