//! Which files of a checkout can be localized, and what retrieval makes of them.

use crate::artifact::RankedFile;
use crate::event::Events;
use crate::repo::{Checkout, FileMode, RepoError, TreeFile};
use crate::retrieval::{
    self, FileFeatures, PastCommit, PastFile, RankOptions, RetrievalInput, SourceFile,
};
use crate::source;

/// Source files of other languages, for repositories that are not mainly Python.
const OTHER_SOURCES: &[&str] = &[
    "bash", "c", "cc", "clj", "cpp", "cs", "cxx", "dart", "ex", "exs", "go", "h", "hpp", "hs",
    "java", "jl", "js", "jsx", "kt", "lua", "m", "mjs", "ml", "php", "pl", "pyx", "r", "rb", "rs",
    "scala", "sh", "swift", "ts", "tsx", "vue",
];

/// Larger files are ranked by their path alone.
const LARGEST: u64 = 8 << 20;

/// How many files a ranking has.
const KEPT: usize = 100;

fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Files worth naming, sorted by path: Python files; where these are fewer than a tenth of the
/// other source files, those too; and where there is no source at all, everything. Symbolic links
/// are left out, and names with control characters, which no tree could show.
pub(crate) fn candidates(checkout: &Checkout) -> Vec<&TreeFile> {
    let usable = |file: &&TreeFile| {
        file.mode != FileMode::Symlink && !file.path.chars().any(char::is_control)
    };
    let all = checkout.files().iter().filter(usable).collect::<Vec<_>>();
    let is_python = |file: &&&TreeFile| extension(&file.path) == "py";
    let is_other = |file: &&&TreeFile| {
        OTHER_SOURCES.contains(&extension(&file.path).to_ascii_lowercase().as_str())
    };
    let python = all.iter().filter(is_python).count();
    let other = all.iter().filter(is_other).count();
    if python + other == 0 {
        return all;
    }
    let wide = python * 10 < other;
    all.into_iter().filter(|file| is_python(&file) || (wide && is_other(&file))).collect()
}

/// Ranks files by retrieval alone: reads the candidates and the history. Blocks for as long as
/// that takes.
///
/// # Errors
/// [`RepoError`] when the object database cannot be read.
pub fn retrieve(
    checkout: &Checkout,
    issue: &str,
    history_commits: usize,
    events: &Events,
) -> Result<Vec<RankedFile>, RepoError> {
    retrieve_with(checkout, issue, history_commits, RankOptions::default(), events)
}

/// The same with lists left out or weighed otherwise, for comparisons.
///
/// # Errors
/// As [`retrieve`].
pub fn retrieve_with(
    checkout: &Checkout,
    issue: &str,
    history_commits: usize,
    options: RankOptions,
    events: &Events,
) -> Result<Vec<RankedFile>, RepoError> {
    let files = read(checkout, events)?;
    let history = past(checkout, history_commits);
    let input = RetrievalInput { files: &files, issue, history: &history };
    Ok(retrieval::rank(input, options, KEPT))
}

/// What the ranker judges by, for its training.
///
/// # Errors
/// As [`retrieve`].
pub fn features(
    checkout: &Checkout,
    issue: &str,
    history_commits: usize,
    events: &Events,
) -> Result<Vec<FileFeatures>, RepoError> {
    let files = read(checkout, events)?;
    let history = past(checkout, history_commits);
    Ok(retrieval::features(RetrievalInput { files: &files, issue, history: &history }))
}

fn read(checkout: &Checkout, events: &Events) -> Result<Vec<SourceFile>, RepoError> {
    let mut files = Vec::new();
    let (mut absent, mut large) = (0, 0);
    for file in candidates(checkout) {
        let bytes = if file.size > LARGEST {
            large += 1;
            Vec::new()
        } else {
            match checkout.read(&file.path) {
                Ok(bytes) => bytes.unwrap_or_default(),
                Err(RepoError::ObjectMissing { .. }) => {
                    absent += 1;
                    Vec::new()
                }
                Err(error) => return Err(error),
            }
        };
        let text = source::decode(&bytes).map(std::borrow::Cow::into_owned).unwrap_or_default();
        files.push(SourceFile { path: file.path.clone(), text });
    }
    if absent > 0 {
        events.notice(format!(
            "the content of {absent} files is not in this clone; they are ranked by path alone"
        ));
    }
    if large > 0 {
        events
            .notice(format!("{large} files above {} MiB are ranked by path alone", LARGEST >> 20));
    }
    Ok(files)
}

fn past(checkout: &Checkout, limit: usize) -> Vec<PastCommit> {
    let commits = checkout.history(limit).into_iter();
    let commit = |commit: crate::repo::HistoryCommit| PastCommit {
        time: commit.time,
        message: commit.message,
        files: commit
            .files
            .into_iter()
            .map(|file| PastFile { path: file.path, old_path: file.old_path })
            .collect(),
    };
    commits.map(commit).collect()
}
