//! Where an instance's code ran, and what was found there that should not have been.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What an instance's sessions start from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentRecord {
    /// Kind of sandbox, such as `docker`.
    pub sandbox: String,
    /// Image that sessions start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Digest of the image that it was made of, or its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What was found beside and after the base commit; absent where the environment was made from
    /// the base commit's tree and can hold nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaks: Option<LeakReport>,
}

/// What lay in an image beside and after the commit that is checked out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeakReport {
    /// The commit that is checked out.
    pub head: String,
    /// Its parents, as far as the image has them.
    #[serde(default)]
    pub parents: Vec<String>,
    /// What was found.
    #[serde(default)]
    pub found: Vec<Leak>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leak {
    /// `refs`, `remotes`, `reflogs`, `left_files`, `objects`, `alternates`, `repository`,
    /// `archives`, `installed` or `head`.
    pub kind: String,
    /// What became of it.
    pub action: LeakAction,
    /// How many: references, objects, files that differ.
    pub count: u64,
    /// Which, for people; the first few.
    pub detail: String,
}

/// What became of a find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeakAction {
    /// Sessions do not see it.
    Removed,
    /// It was looked for and left alone, as asked.
    Found,
    /// It cannot be spared: what is installed needs it, or taking it away failed.
    Kept,
    /// An installed copy that equals the tree: no leak.
    Equal,
    /// It could not be looked for.
    Unchecked,
}

impl LeakAction {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Found => "found",
            Self::Kept => "kept",
            Self::Equal => "equal",
            Self::Unchecked => "unchecked",
        }
    }
}

impl LeakReport {
    /// What sessions can still see.
    pub fn visible(&self) -> impl Iterator<Item = &Leak> {
        self.found
            .iter()
            .filter(|leak| !matches!(leak.action, LeakAction::Removed | LeakAction::Equal))
    }

    /// One line for people; empty when nothing was found.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for leak in self.found.iter().filter(|leak| leak.action != LeakAction::Equal) {
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(
                text,
                "{separator}{} {} {} ({})",
                leak.action.name(),
                leak.count,
                leak.kind,
                leak.detail
            );
        }
        text
    }
}
