//! What only a grader may know of an instance.

use serde::Serialize;

/// The reference solution and the tests that judge a prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gold {
    /// Reference diff of source files.
    pub patch: String,
    /// Diff of test files.
    pub test_patch: String,
    /// Tests that fail before the fix and must pass after it.
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before the fix and must still pass after it.
    pub pass_to_pass: Vec<String>,
    /// The whole evaluation script, for rows of SWE-bench 5.
    pub eval_script: Option<String>,
    /// How the lists are judged.
    pub eval_type: EvalType,
    /// SWE-bench's name of the log parser.
    pub log_parser: Option<String>,
    /// Version key of the project; empty when the row has none.
    pub version: String,
    /// What is appended to the test command; absent when it follows from the test patch.
    pub test_directives: Option<Vec<String>>,
}

/// How test lists are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalType {
    /// A listed test must be seen to pass.
    PassAndFail,
    /// A listed test must not be seen to fail (runners that print failures only).
    FailOnly,
}
