//! Which file a line of an answer names, and which paths may be written at all.

use std::collections::{HashMap, HashSet};

use crate::patch::answer::Hint;
use crate::patch::{BaseTree, FileChange, FileMode, ReasonCode, Rejection};

/// Whether a path is one that a patch may touch, by its text alone: relative, without empty, `.`
/// or `..` components, backslashes and control characters, and outside of `.git` in any case.
///
/// # Errors
/// `unsafe_path` with the reason.
pub(crate) fn check_path(path: &str) -> Result<(), Rejection> {
    let unsafe_path = |why: &str| {
        Err(Rejection::new(ReasonCode::UnsafePath, format!("`{}` {why}", path.escape_debug())))
    };
    if path.is_empty() {
        return unsafe_path("is empty");
    }
    if path.starts_with('/') {
        return unsafe_path("is absolute");
    }
    if path.contains('\\') {
        return unsafe_path("contains a backslash");
    }
    if path.chars().any(char::is_control) {
        return unsafe_path("contains a control character");
    }
    let drive = path.as_bytes();
    if drive.len() >= 2 && drive[0].is_ascii_alphabetic() && drive[1] == b':' {
        return unsafe_path("begins with a drive letter");
    }
    for part in path.split('/') {
        match part {
            "" => return unsafe_path("has an empty component"),
            "." | ".." => return unsafe_path("has a `.` or `..` component"),
            _ if is_dot_git(part) => return unsafe_path("enters `.git`"),
            _ => {}
        }
    }
    Ok(())
}

/// `.git` as some file system may see it: any case, trailing dots and blanks, streams, short name,
/// and characters that HFS+ leaves out.
fn is_dot_git(part: &str) -> bool {
    let visible: String = part.chars().filter(|c| !is_ignorable(*c)).collect();
    let head = visible.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    head.eq_ignore_ascii_case(".git") || head.eq_ignore_ascii_case("git~1")
}

fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// Whether a file may lie at `path` in a tree that has the files `exists` says and, of the base,
/// `paths`: none of its directories may be a file or a symbolic link.
///
/// # Errors
/// `unsafe_path` below a symbolic link, `path_conflict` below a file.
pub(crate) fn check_parents(path: &str, base: &dyn BaseTree) -> Result<(), Rejection> {
    for (end, _) in path.match_indices('/') {
        let parent = &path[..end];
        if !contains(base.paths(), parent) {
            continue;
        }
        let link = base.read(parent).is_some_and(|file| file.mode == FileMode::Symlink);
        return Err(if link {
            let detail = format!("`{path}` goes through the symbolic link `{parent}`");
            Rejection::new(ReasonCode::UnsafePath, detail)
        } else {
            let detail = format!("`{path}` cannot exist below the file `{parent}`");
            Rejection::new(ReasonCode::PathConflict, detail)
        });
    }
    Ok(())
}

/// Rejects new files below one another: `a` and `a/b` cannot both exist.
pub(crate) fn check_new_paths(changes: &[FileChange]) -> Result<(), Rejection> {
    let new: HashSet<&str> = changes
        .iter()
        .filter(|change| change.new.is_some())
        .map(|change| change.path.as_str())
        .collect();
    for path in &new {
        for (end, _) in path.match_indices('/') {
            if new.contains(&path[..end]) {
                let detail = format!("`{path}` cannot exist below the file `{}`", &path[..end]);
                return Err(Rejection::new(ReasonCode::PathConflict, detail));
            }
        }
    }
    Ok(())
}

/// Whether `path` is a directory of the base tree.
pub(crate) fn is_directory(path: &str, base: &dyn BaseTree) -> bool {
    let inside = format!("{path}/");
    let paths = base.paths();
    let at = paths.partition_point(|known| known.as_str() < inside.as_str());
    paths.get(at).is_some_and(|known| known.starts_with(&inside))
}

/// Whether a sorted list of paths has `path`.
pub(crate) fn contains(paths: &[String], path: &str) -> bool {
    paths.binary_search_by(|known| known.as_str().cmp(path)).is_ok()
}

/// What the lines around an edit say about its file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A file that exists.
    File(String),
    /// A path that nothing exists at; `sure` when its extension shows that a path is meant.
    New { path: String, sure: bool },
    /// No line names a file.
    Nothing,
}

/// Finds the files that hints name, remembering what it has looked up.
pub(crate) struct Resolver<'a> {
    paths: &'a [String],
    shown: &'a [String],
    suffixes: HashMap<String, Suffix>,
}

#[derive(Clone)]
enum Suffix {
    None,
    One(String),
    Many(usize),
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(paths: &'a [String], shown: &'a [String]) -> Self {
        Self { paths, shown, suffixes: HashMap::new() }
    }

    /// The file that the hints name; `exists` also knows the files that earlier edits made.
    ///
    /// # Errors
    /// `unsafe_path`, or `ambiguous` when a shortened path fits several files.
    pub(crate) fn resolve(
        &mut self,
        hints: &[Hint<'_>],
        exists: &dyn Fn(&str) -> bool,
    ) -> Result<Named, Rejection> {
        let mut new: Option<(String, bool)> = None;
        for hint in hints {
            let readings = readings(hint);
            if let Some(known) = readings.iter().find(|reading| exists(&reading.path)) {
                check_path(&known.path)?;
                return Ok(Named::File(known.path.clone()));
            }
            let Some(reading) = readings.into_iter().rfind(Reading::is_path_like) else { continue };
            match check_path(&reading.path) {
                Ok(()) => {}
                Err(rejection) if hint.nearest || reading.explicit => return Err(rejection),
                Err(_) => continue,
            }
            match self.suffix(&reading.path) {
                Suffix::One(path) => return Ok(Named::File(path)),
                Suffix::Many(count) if reading.path.contains('/') || reading.explicit => {
                    let detail = format!("`{}` fits {count} files", reading.path);
                    return Err(Rejection::new(ReasonCode::Ambiguous, detail));
                }
                Suffix::Many(_) | Suffix::None => {}
            }
            let sure = reading.has_extension();
            if new.as_ref().is_none_or(|(_, known)| sure && !known) {
                new = Some((reading.path, sure));
            }
        }
        Ok(new.map_or(Named::Nothing, |(path, sure)| Named::New { path, sure }))
    }

    /// The one file whose path ends with `path`; among several, the one that was shown. Failing
    /// that, the file that is left when leading components of `path` are dropped.
    fn suffix(&mut self, path: &str) -> Suffix {
        if let Some(known) = self.suffixes.get(path) {
            return known.clone();
        }
        let tail = format!("/{path}");
        let fits: Vec<&String> = self.paths.iter().filter(|known| known.ends_with(&tail)).collect();
        let found = match fits.as_slice() {
            [] => path
                .match_indices('/')
                .map(|(at, _)| &path[at + 1..])
                .find(|rest| rest.contains('/') && contains(self.paths, rest))
                .map_or(Suffix::None, |rest| Suffix::One(rest.to_owned())),
            [one] => Suffix::One((*one).clone()),
            many => {
                let mut shown = many.iter().filter(|known| self.shown.contains(known));
                match (shown.next(), shown.next()) {
                    (Some(one), None) => Suffix::One((**one).clone()),
                    _ => Suffix::Many(many.len()),
                }
            }
        };
        self.suffixes.insert(path.to_owned(), found.clone());
        found
    }
}

/// One way to read a hint as a path.
#[derive(Debug)]
struct Reading {
    path: String,
    /// It was marked as a path: by `#`, `File:`, backticks, quotes.
    explicit: bool,
    nearest: bool,
}

impl Reading {
    /// Whether it may be the path of a file that does not exist.
    fn is_path_like(&self) -> bool {
        self.looks_like_path() || (self.explicit && self.nearest && is_word(&self.path))
    }

    /// One word whose last part ends with `.py` or the like.
    fn has_extension(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        is_word(&self.path)
            && name.rsplit_once('.').is_some_and(|(_, extension)| {
                (1..=10).contains(&extension.len())
                    && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
                    && !extension.bytes().all(|byte| byte.is_ascii_digit())
            })
    }

    /// One word with a directory or an extension.
    fn looks_like_path(&self) -> bool {
        let git = self.path.to_ascii_lowercase().starts_with(".git");
        is_word(&self.path)
            && (self.has_extension() || git || self.path.contains(['/', '\\']))
            && !self.path.contains("://")
            && self.path.chars().any(char::is_alphanumeric)
    }
}

fn is_word(path: &str) -> bool {
    !path.is_empty() && !path.contains(|c: char| c.is_whitespace() || "(){}[]<>=,;`\"".contains(c))
}

/// The ways to read a hint, the most literal first.
fn readings(hint: &Hint<'_>) -> Vec<Reading> {
    let mut found: Vec<Reading> = Vec::new();
    let mut push = |text: &str, explicit: bool| {
        let text = text.trim();
        if !text.is_empty() && found.iter().all(|known| known.path != text) {
            found.push(Reading { path: text.to_owned(), explicit, nearest: hint.nearest });
        }
    };
    if hint.text.len() > 4096 {
        return Vec::new();
    }
    if hint.info {
        for word in hint.text.split_whitespace() {
            let word = word.trim_matches(['{', '}']);
            for part in [Some(word), word.split_once('=').map(|(_, path)| path)] {
                push_variants(part.unwrap_or_default(), true, &mut push);
            }
            if let Some((_, path)) = word.split_once(':') {
                push_variants(path, true, &mut push);
            }
        }
        // A bare language tag such as `python` is no path.
        found.retain(Reading::looks_like_path);
        return found;
    }
    let line = hint.text.trim();
    push_variants(line, false, &mut push);
    let bare = unlisted(line);
    let hashes = bare.trim_start_matches('#').trim();
    let comment = ["//", "<!--", "/*", "--"].iter().find_map(|mark| bare.strip_prefix(mark));
    let comment = comment.map(|rest| rest.trim_end_matches("-->").trim_end_matches("*/").trim());
    let text = comment.unwrap_or(hashes);
    let marked = bare.starts_with('#');
    push_variants(text, marked, &mut push);
    let starless = text.trim_matches('*').trim();
    push_variants(starless, marked, &mut push);
    if let Some(rest) = unlabelled(starless) {
        push_variants(rest.trim_matches('*'), true, &mut push);
    }
    found
}

/// The text, then without a remark in parentheses and a colon, then without quotes, then without
/// `./`, `a/` or `b/`.
fn push_variants(text: &str, explicit: bool, push: &mut dyn FnMut(&str, bool)) {
    let text = text.trim();
    push(text, explicit);
    let mut bare = text;
    if let Some((head, remark)) = bare.rsplit_once(" (")
        && remark.ends_with(')')
    {
        bare = head.trim_end();
    }
    bare = bare.trim_end_matches(':').trim();
    push(bare, explicit);
    let quoted = bare;
    for mark in ['*', '`', '"', '\''] {
        if let Some(inner) = bare.strip_prefix(mark).and_then(|rest| rest.strip_suffix(mark)) {
            bare = inner.trim_matches(mark).trim_end_matches(':').trim();
            push(bare, true);
        }
    }
    let explicit = explicit || bare != quoted;
    for prefix in ["./", "a/", "b/"] {
        if let Some(rest) = bare.strip_prefix(prefix) {
            push(rest, explicit);
        }
    }
}

/// Without a list marker: `- `, `* `, `1. `.
fn unlisted(line: &str) -> &str {
    for mark in ["- ", "* ", "+ "] {
        if let Some(rest) = line.strip_prefix(mark) {
            return rest.trim_start();
        }
    }
    let digits = line.trim_start_matches(|c: char| c.is_ascii_digit());
    if digits.len() == line.len() {
        return line;
    }
    digits.strip_prefix(". ").or_else(|| digits.strip_prefix(") ")).map_or(line, str::trim_start)
}

/// What follows a label such as `File:`.
fn unlabelled(text: &str) -> Option<&str> {
    let (label, rest) = text.split_once(':')?;
    let label = label.trim().trim_matches('*').to_ascii_lowercase();
    let known = ["file", "filename", "file name", "filepath", "file path", "path", "new file"];
    known.contains(&label.as_str()).then(|| rest.trim())
}
