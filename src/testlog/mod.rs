//! Which tests passed, says this log: pure readers of test runners' output.
//!
//! The rules are those of SWE-bench's harness 5.0.2, its oddities included, because ids in the
//! benchmark were recorded with them; `unittest` is our own. Where generations of the harness
//! differ, [`crate::artifact::Rules`] says so. All readers take any text, never panic, and take
//! time linear in it.

pub mod detect;
pub mod directive;
mod django;
pub mod infra;
pub mod markers;
mod parse;
mod pytest;
mod status;
mod sympy;
mod unittest;

pub use parse::{BrokenReader, normal_id, parse, parse_by, python_strip};
pub use status::{Status, Statuses};
