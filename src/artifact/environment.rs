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

impl EnvironmentRecord {
    /// How the image differs from `before`'s, for people; nothing where it is the same, or where
    /// either is not known.
    ///
    /// An image that the program made of the base commit's tree is known by its name, which is a
    /// digest of all that it is made of: each engine builds its own, under a digest of its own.
    #[must_use]
    pub fn other_image(&self, before: &Self) -> Option<String> {
        let (image, old) = (self.image.as_deref()?, before.image.as_deref()?);
        let made = |record: &Self| record.leaks.is_none();
        if made(self) && made(before) {
            return (image != old).then(|| format!("{old} → {image}"));
        }
        let (digest, old_digest) = (self.digest.as_deref()?, before.digest.as_deref()?);
        (digest != old_digest)
            .then(|| format!("{old} {} → {image} {}", brief(old_digest), brief(digest)))
    }
}

/// A digest as people compare it: `sha256:` or a name before it, and twelve digits.
fn brief(digest: &str) -> &str {
    let digits = digest.rfind(':').map_or(0, |colon| colon + 1);
    digest.get(..digits + 12).unwrap_or(digest)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(image: &str, digest: Option<&str>, published: bool) -> EnvironmentRecord {
        EnvironmentRecord {
            sandbox: "docker".into(),
            image: Some(image.into()),
            digest: digest.map(Into::into),
            leaks: published.then(LeakReport::default),
        }
    }

    #[test]
    fn images_are_the_same_by_content_and_those_made_here_by_what_they_are_made_of() {
        let (a, b) = (format!("sha256:{}", "a".repeat(64)), format!("sha256:{}", "b".repeat(64)));
        let before = record("x:latest", Some(&a), true);
        let said = record("x:latest", Some(&b), true).other_image(&before).unwrap();
        assert_eq!(said, "x:latest sha256:aaaaaaaaaaaa → x:latest sha256:bbbbbbbbbbbb");
        assert_eq!(record("mirror/x", Some(&a), true).other_image(&before), None);
        assert_eq!(record("x:latest", None, true).other_image(&before), None);
        let before = record("agent-tree:1", Some(&a), false);
        assert_eq!(record("agent-tree:1", Some(&b), false).other_image(&before), None);
        let said = record("agent-tree:2", Some(&b), false).other_image(&before);
        assert_eq!(said.unwrap(), "agent-tree:1 → agent-tree:2");
        let local = EnvironmentRecord { image: None, ..record("", None, false) };
        assert_eq!((local.other_image(&before), before.other_image(&local)), (None, None));
    }
}
