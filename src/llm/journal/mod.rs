//! The response journal: what the model answered, kept so that nothing is paid for twice.
//!
//! Append-only lines of JSON in the folder of each instance: `journal.jsonl.zst`, which is written,
//! in zstd frames with checksums (`zstdcat` shows it), and `journal.jsonl`, where recordings made by
//! hand and by earlier versions lie. A line is a prompt (its messages under their digest, once) or a
//! reply (under a key over everything that shaped it). Each line carries the number of its schema.

mod browse;
mod commit;
mod file;
mod join;
mod line;
mod packed;
mod recording;
mod replay;

#[cfg(test)]
mod tests;

pub use browse::{Exchange, Recorded};
pub use join::{copy_journal, has_journal, join_journals};
pub use recording::Journaled;
pub use replay::Replay;

/// Name of the plain file in an instance's folder.
const PLAIN: &str = "journal.jsonl";
/// Name of the packed one.
const PACKED: &str = "journal.jsonl.zst";
