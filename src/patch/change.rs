//! Files before and after: the tree that edits are made against, and what they did to it.

/// The tree of the base commit, as far as editing needs it.
///
/// Paths are relative to the repository's root, with `/` between components.
pub trait BaseTree {
    /// The file at `path`, or nothing when the tree has no blob there.
    fn read(&self, path: &str) -> Option<FileState>;

    /// The path of every blob, sorted by bytes.
    fn paths(&self) -> &[String];
}

/// The three modes that git knows for a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileMode {
    /// `100644`
    Regular,
    /// `100755`
    Executable,
    /// `120000`; the content is the link's target.
    Symlink,
}

impl FileMode {
    /// The mode as git writes it: six octal digits.
    #[must_use]
    pub fn as_git(self) -> &'static str {
        match self {
            Self::Regular => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
        }
    }

    /// Reads git's six octal digits; old trees' `100664` is a regular file.
    #[must_use]
    pub fn from_git(text: &str) -> Option<Self> {
        match text {
            "100644" | "100664" => Some(Self::Regular),
            "100755" => Some(Self::Executable),
            "120000" => Some(Self::Symlink),
            _ => None,
        }
    }
}

/// A file's bytes and mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// The bytes, in any encoding.
    pub content: Vec<u8>,
    /// What kind of blob it is.
    pub mode: FileMode,
}

/// One file that a patch changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Path from the repository's root.
    pub path: String,
    /// The file in the base tree; nothing for a new file.
    pub old: Option<FileState>,
    /// The file after the patch; nothing for a deletion.
    pub new: Option<FileState>,
}

impl FileChange {
    /// Whether old and new state are the same.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.old == self.new
    }
}
