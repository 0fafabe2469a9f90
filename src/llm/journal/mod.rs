//! The response journal: what the model answered, kept so that nothing is paid for twice.
//!
//! One append-only file of JSON lines per instance, `DIR/<instance>/journal.jsonl`. A line is a
//! prompt (its messages under their digest, once) or a reply (under a key over everything that
//! shaped it). Each line carries the number of its schema.

mod browse;
mod file;
mod line;
mod recording;
mod replay;

#[cfg(test)]
mod tests;

pub use browse::{Exchange, Recorded};
pub use recording::Journaled;
pub use replay::Replay;
