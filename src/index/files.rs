//! Which files of a checkout can be localized.

use std::collections::HashSet;

use crate::event::Events;
use crate::repo::{Checkout, FileMode, TreeFile};
use crate::retrieval::{CorpusFile, Plan};

/// Source files of other languages, for repositories that are not mainly Python.
const OTHER_SOURCES: &[&str] = &[
    "bash", "c", "cc", "clj", "cpp", "cs", "cxx", "dart", "ex", "exs", "go", "h", "hpp", "hs",
    "java", "jl", "js", "jsx", "kt", "lua", "m", "mjs", "ml", "php", "pl", "pyx", "r", "rb", "rs",
    "scala", "sh", "swift", "ts", "tsx", "vue",
];

/// Larger files are ranked by their path alone.
const LARGEST: u64 = 8 << 20;

fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Files worth naming, sorted by path: Python files; where these are fewer than a tenth of the
/// other source files, those too; and where there is no source at all, everything. Symbolic links
/// are left out, and names with control characters, which no tree could show.
#[must_use]
pub fn candidates(checkout: &Checkout) -> Vec<&TreeFile> {
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

/// The candidates of a checkout as a corpus in the making. Says what is ranked by its path alone.
pub(crate) fn plan(checkout: &Checkout, events: &Events) -> Plan {
    let absent = checkout.absent().iter().map(String::as_str).collect::<HashSet<_>>();
    let (mut missing, mut large) = (0, 0);
    let mut files = Vec::new();
    for file in candidates(checkout) {
        let mut blob = u128::from_str_radix(&file.blob[..32], 16).ok();
        if absent.contains(file.path.as_str()) {
            missing += 1;
            blob = None;
        } else if file.size > LARGEST {
            large += 1;
            blob = None;
        }
        files.push(CorpusFile { path: file.path.clone(), blob });
    }
    if files.is_empty() {
        events.notice("the commit has no file that could be ranked");
    }
    if missing > 0 {
        events.notice(format!(
            "the content of {missing} files is not in this clone; they are ranked by path alone \
             (`{}` gets it)",
            checkout.fetch_of_content()
        ));
    }
    if large > 0 {
        events
            .notice(format!("{large} files above {} MiB are ranked by path alone", LARGEST >> 20));
    }
    Plan::new(files)
}
