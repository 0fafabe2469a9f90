//! Why an answer or a diff was not accepted: a closed list of codes with stable names.

use std::fmt;

/// Why a sample gives no patch. The names are written to `candidates.jsonl` and never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReasonCode {
    /// The answer holds no edit at all.
    NoEdit,
    /// The thinking part was never closed, so there is no final answer.
    NoSolution,
    /// An edit has no REPLACE marker: the answer was cut.
    Unterminated,
    /// An edit has no `=======` line between search and replacement.
    NoDivider,
    /// Search and replacement are the same in every edit.
    Noop,
    /// The search text is not in the file.
    NotFound,
    /// The search text, or the place it belongs to, is not unique.
    Ambiguous,
    /// An edit without search text names a file that exists and is not empty.
    EmptySearchOnExisting,
    /// An edit with search text names a file that does not exist.
    NoSuchFile,
    /// No path is given and none of the shown files holds the search text.
    NoPath,
    /// The path leaves the repository, enters `.git`, or goes through a symbolic link.
    UnsafePath,
    /// A file would lie where a directory is, or the other way round.
    PathConflict,
    /// A whole file would be emptied without an explicit `### DELETE` line.
    EmptiesFile,
    /// The new file has a syntax error that the old one had not.
    Syntax,
    /// The edits leave every file as it was.
    Unchanged,
    /// The file is binary, or the replacement cannot be written in its encoding.
    NotText,
    /// The answer, or what it would produce, is beyond the documented limits.
    TooLarge,
    /// The diff cannot be read.
    BadDiff,
    /// The answer holds no script.
    NoScript,
}

impl ReasonCode {
    /// The stable name, in `snake_case`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoEdit => "no_edit",
            Self::NoSolution => "no_solution",
            Self::Unterminated => "unterminated",
            Self::NoDivider => "no_divider",
            Self::Noop => "noop",
            Self::NotFound => "not_found",
            Self::Ambiguous => "ambiguous",
            Self::EmptySearchOnExisting => "empty_search_on_existing",
            Self::NoSuchFile => "no_such_file",
            Self::NoPath => "no_path",
            Self::UnsafePath => "unsafe_path",
            Self::PathConflict => "path_conflict",
            Self::EmptiesFile => "empties_file",
            Self::Syntax => "syntax",
            Self::Unchanged => "unchanged",
            Self::NotText => "not_text",
            Self::TooLarge => "too_large",
            Self::BadDiff => "bad_diff",
            Self::NoScript => "no_script",
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an answer or a diff was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Rejection {
    /// The kind of reason, for counting.
    pub code: ReasonCode,
    /// Which edit, file or line, for a person.
    pub detail: String,
}

impl Rejection {
    /// A rejection of one kind, with what a person needs to find the place.
    pub fn new(code: ReasonCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }
}
