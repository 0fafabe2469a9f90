//! The files of an answer as its edits leave them one after the other.

use std::collections::{BTreeMap, HashSet};

use crate::patch::answer::{Hint, RawEdit};
use crate::patch::lines::TextFile;
use crate::patch::matching::{Located, Rule, locate};
use crate::patch::paths::{
    Named, Resolver, check_new_paths, check_parents, check_path, contains, is_directory,
};
use crate::patch::splice::{SpliceError, fill, splice};
use crate::patch::split::{Choice, Split, choose, is_blank, splits};
use crate::patch::{
    Applied, ApplyOptions, BaseTree, FileChange, FileMode, FileState, ReasonCode, Rejection,
};

/// Largest file that an answer may produce, in bytes.
const MAX_FILE: usize = 64 << 20;

/// A file as the edits have left it so far.
struct Working {
    original: Option<FileState>,
    mode: FileMode,
    /// Nothing once it is deleted.
    text: Option<TextFile>,
}

pub(crate) struct Workspace<'a> {
    shown: &'a [String],
    base: &'a dyn BaseTree,
    options: ApplyOptions,
    resolver: Resolver<'a>,
    files: BTreeMap<String, Working>,
    last_path: Option<String>,
    seen: HashSet<(Option<String>, String)>,
    rules: Vec<String>,
}

impl<'a> Workspace<'a> {
    pub(crate) fn new(shown: &'a [String], base: &'a dyn BaseTree, options: ApplyOptions) -> Self {
        Self {
            shown,
            base,
            options,
            resolver: Resolver::new(base.paths(), shown),
            files: BTreeMap::new(),
            last_path: None,
            seen: HashSet::new(),
            rules: Vec::new(),
        }
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        match self.files.get(path) {
            Some(file) => file.text.is_some(),
            None => contains(self.base.paths(), path),
        }
    }

    /// Loads a file of the base tree for editing; `path` exists.
    fn load(&mut self, path: &str) -> Result<&mut TextFile, Rejection> {
        check_path(path)?;
        check_parents(path, self.base)?;
        let missing = || {
            let detail = format!("`{path}` is not in the repository");
            Rejection::new(ReasonCode::NoSuchFile, detail)
        };
        if !self.files.contains_key(path) {
            let state = self.base.read(path).ok_or_else(missing)?;
            if state.mode == FileMode::Symlink {
                let detail = format!("`{path}` is a symbolic link");
                return Err(Rejection::new(ReasonCode::UnsafePath, detail));
            }
            let Some(text) = TextFile::parse(&state.content) else {
                let detail = format!("`{path}` is binary: it holds NUL bytes");
                return Err(Rejection::new(ReasonCode::NotText, detail));
            };
            let mode = state.mode;
            let file = Working { original: Some(state), mode, text: Some(text) };
            self.files.insert(path.to_owned(), file);
        }
        self.files.get_mut(path).and_then(|file| file.text.as_mut()).ok_or_else(missing)
    }

    pub(crate) fn edit(&mut self, edit: &RawEdit<'_>) -> Result<(), Rejection> {
        if edit.body.iter().any(|line| line.contains('\0')) {
            let detail = format!("the edit at line {} holds a NUL character", edit.line);
            return Err(Rejection::new(ReasonCode::NotText, detail));
        }
        let splits = splits(edit);
        let creates = splits.first().is_some_and(|first| is_blank(&first.search));
        let exists = |path: &str| {
            self.files
                .get(path)
                .map_or_else(|| contains(self.base.paths(), path), |file| file.text.is_some())
        };
        let named = match self.resolver.resolve(&edit.hints, &exists)? {
            Named::New { sure: false, .. } if !creates => Named::Nothing,
            named => named,
        };
        let named = match (named, &self.last_path) {
            (Named::Nothing, Some(last)) if edit.same_block => Named::File(last.clone()),
            (named, _) => named,
        };
        let path = match &named {
            Named::File(path) | Named::New { path, .. } => Some(path.clone()),
            Named::Nothing => None,
        };
        if !self.seen.insert((path.clone(), edit.body.join("\n"))) {
            self.last_path = path.or(self.last_path.take());
            return Ok(());
        }
        if let [only] = splits.as_slice()
            && only.search == only.replace
            && !creates
        {
            self.last_path = path.or(self.last_path.take());
            return Ok(());
        }
        let path = match named {
            Named::File(path) if creates => self.fill_empty(edit, path, &splits[0])?,
            Named::New { path, .. } if creates => self.create(edit, path, &splits[0])?,
            Named::File(path) => self.replace(edit, path, &splits)?,
            Named::New { path, .. } => {
                let line = edit.line;
                let detail = format!("edit at line {line}: `{path}` is not in the repository");
                return Err(Rejection::new(ReasonCode::NoSuchFile, detail));
            }
            Named::Nothing if creates => {
                let detail = format!("edit at line {}: no path for a new file", edit.line);
                return Err(Rejection::new(ReasonCode::NoPath, detail));
            }
            Named::Nothing => {
                let path = self.find_by_content(edit, &splits)?;
                self.replace(edit, path, &splits)?
            }
        };
        self.last_path = Some(path);
        Ok(())
    }

    fn fill_empty(
        &mut self,
        edit: &RawEdit<'_>,
        path: String,
        split: &Split<'_>,
    ) -> Result<String, Rejection> {
        let file = self.load(&path)?;
        if !file.is_blank() {
            let detail = format!("edit at line {}: `{path}` is not empty", edit.line);
            return Err(Rejection::new(ReasonCode::EmptySearchOnExisting, detail));
        }
        fill(file, &split.replace).map_err(|error| refused(edit, &path, error))?;
        self.rules.push("fill".to_owned());
        Ok(path)
    }

    fn create(
        &mut self,
        edit: &RawEdit<'_>,
        path: String,
        split: &Split<'_>,
    ) -> Result<String, Rejection> {
        check_path(&path)?;
        check_parents(&path, self.base)?;
        if is_directory(&path, self.base) {
            let detail = format!("edit at line {}: `{path}` is a directory", edit.line);
            return Err(Rejection::new(ReasonCode::PathConflict, detail));
        }
        let mut text = TextFile::empty();
        fill(&mut text, &split.replace).map_err(|error| refused(edit, &path, error))?;
        match self.files.get_mut(&path) {
            Some(deleted) => deleted.text = Some(text),
            None => {
                let file = Working { original: None, mode: FileMode::Regular, text: Some(text) };
                self.files.insert(path.clone(), file);
            }
        }
        self.rules.push("create".to_owned());
        Ok(path)
    }

    fn replace(
        &mut self,
        edit: &RawEdit<'_>,
        path: String,
        splits: &[Split<'_>],
    ) -> Result<String, Rejection> {
        let all = self.options.replace_all;
        let found = choose(self.load(&path)?, splits, all);
        let (split, places) = match found {
            Choice::Found { split, places } => (split, places),
            Choice::Several { count, .. } => {
                let detail = format!(
                    "edit at line {}: the search text is at {count} places in `{path}`",
                    edit.line
                );
                return Err(Rejection::new(ReasonCode::Ambiguous, detail));
            }
            Choice::Nowhere => return Err(self.not_found(edit, &path, splits)),
        };
        let size: usize = split.replace.iter().map(|line| line.len() + 2).sum();
        let file = self.load(&path)?;
        let before: usize = file.lines.iter().map(|line| line.text.len() + 2).sum();
        if size.saturating_mul(places.len()).saturating_add(before) > MAX_FILE {
            let detail = format!("edit at line {}: `{path}` grows too large", edit.line);
            return Err(Rejection::new(ReasonCode::TooLarge, detail));
        }
        splice(file, &split.search, &split.replace, &places)
            .map_err(|error| refused(edit, &path, error))?;
        let rule = match places.as_slice() {
            _ if split.elided => "elided",
            [place] => place.rule.name(),
            _ => "all",
        };
        self.rules.push(rule.to_owned());
        Ok(path)
    }

    fn not_found(&self, edit: &RawEdit<'_>, path: &str, splits: &[Split<'_>]) -> Rejection {
        let original = self.files.get(path).and_then(|file| file.original.as_ref());
        let before = original.and_then(|state| TextFile::parse(&state.content));
        let consumed = before.is_some_and(|file| {
            splits.iter().any(|split| matches!(locate(&file, &split.search), Located::One(_)))
        });
        let why = if consumed { ", since an earlier edit changed it" } else { "" };
        let first = edit.body.iter().find(|line| !line.trim().is_empty()).unwrap_or(&"");
        let first: String = first.trim().chars().take(80).collect();
        let line = edit.line;
        let detail =
            format!("edit at line {line}: the search text is not in `{path}`{why}: `{first}`");
        Rejection::new(ReasonCode::NotFound, detail)
    }

    /// The one shown file that holds the search text of an edit without a path.
    fn find_by_content(
        &mut self,
        edit: &RawEdit<'_>,
        splits: &[Split<'_>],
    ) -> Result<String, Rejection> {
        let mut best: Option<(Rule, Vec<&String>)> = None;
        let all = self.options.replace_all;
        for path in self.shown {
            if !self.exists(path) {
                continue;
            }
            let Ok(file) = self.load(path) else { continue };
            let rule = match choose(file, splits, all) {
                Choice::Found { places, .. } => places.first().map_or(Rule::Exact, |p| p.rule),
                Choice::Several { rule, .. } => rule,
                Choice::Nowhere => continue,
            };
            match &mut best {
                Some((known, paths)) if *known == rule => paths.push(path),
                Some((known, _)) if *known < rule => {}
                _ => best = Some((rule, vec![path])),
            }
        }
        let line = edit.line;
        match best {
            Some((_, paths)) if paths.len() == 1 => Ok(paths[0].clone()),
            Some((_, paths)) => {
                let detail = format!(
                    "edit at line {line}: no path, and {} shown files hold the search text",
                    paths.len()
                );
                Err(Rejection::new(ReasonCode::Ambiguous, detail))
            }
            None => {
                let detail = format!(
                    "edit at line {line}: no path, and no shown file holds the search text"
                );
                Err(Rejection::new(ReasonCode::NoPath, detail))
            }
        }
    }

    pub(crate) fn delete(&mut self, line: usize, text: &str) -> Result<(), Rejection> {
        let hint = Hint { text, nearest: true, info: false };
        let exists = |path: &str| {
            self.files
                .get(path)
                .map_or_else(|| contains(self.base.paths(), path), |file| file.text.is_some())
        };
        let Named::File(path) = self.resolver.resolve(&[hint], &exists)? else {
            let detail =
                format!("line {line} asks to delete `{text}`, which is not in the repository");
            return Err(Rejection::new(ReasonCode::NoSuchFile, detail));
        };
        self.load(&path)?;
        if let Some(file) = self.files.get_mut(&path) {
            file.text = None;
        }
        self.rules.push("delete".to_owned());
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Applied, Rejection> {
        let mut changes = Vec::new();
        for (path, file) in self.files {
            let emptied = file.text.as_ref().is_some_and(TextFile::is_blank);
            let new = file.text.map(|text| FileState { content: text.to_bytes(), mode: file.mode });
            let change = FileChange { path, old: file.original, new };
            if change.is_unchanged() {
                continue;
            }
            let had_text = |old: &FileState| !old.content.trim_ascii().is_empty();
            if emptied && change.old.as_ref().is_some_and(had_text) {
                let detail = format!(
                    "`{0}` would be emptied; only a line `### DELETE {0}` deletes a file",
                    change.path
                );
                return Err(Rejection::new(ReasonCode::EmptiesFile, detail));
            }
            changes.push(change);
        }
        check_new_paths(&changes)?;
        if changes.is_empty() {
            return Err(if self.rules.is_empty() {
                Rejection::new(ReasonCode::Noop, "search and replacement are the same")
            } else {
                Rejection::new(ReasonCode::Unchanged, "the edits leave every file as it was")
            });
        }
        Ok(Applied { changes, rules: self.rules })
    }
}

fn refused(edit: &RawEdit<'_>, path: &str, error: SpliceError) -> Rejection {
    let line = edit.line;
    match error {
        SpliceError::Encoding => Rejection::new(
            ReasonCode::NotText,
            format!(
                "edit at line {line}: the replacement cannot be written in the encoding of `{path}`"
            ),
        ),
        SpliceError::Indentation => Rejection::new(
            ReasonCode::NotFound,
            format!(
                "edit at line {line}: the replacement does not fit the indentation of `{path}`"
            ),
        ),
    }
}
