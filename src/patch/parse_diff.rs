//! Reading unified diffs in git's format: headers, renames, modes, hunks and binary patches.

use crate::patch::binary::{BinaryHunk, read_hunk};
use crate::patch::quote::unquote;
use crate::patch::{FileMode, ReasonCode, Rejection};

/// One file's part of a diff.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct FileDiff {
    /// Path before; nothing for a new file.
    pub(crate) old: Option<String>,
    /// Path after; nothing for a deletion.
    pub(crate) new: Option<String>,
    /// The new mode, where the diff names one.
    pub(crate) mode: Option<FileMode>,
    /// Whether the file at `old` stays although the paths differ.
    pub(crate) copy: bool,
    pub(crate) hunks: Vec<Hunk>,
    pub(crate) binary: Option<BinaryHunk>,
}

/// One hunk; lines keep their ends.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Hunk {
    /// Line of the diff with the hunk's header, from 1.
    pub(crate) line: usize,
    /// First line in the old and in the new file, from 1; 0 for an empty side.
    pub(crate) old_start: usize,
    pub(crate) new_start: usize,
    pub(crate) old: Vec<Vec<u8>>,
    pub(crate) new: Vec<Vec<u8>>,
    /// Whether the hunk ends with a changed line, which then lies at the end of the file.
    pub(crate) at_end: bool,
}

/// Reads every file's part. Text around them (a mail's head, prose) is passed over.
///
/// # Errors
/// `bad_diff` with the line that cannot be read.
pub(crate) fn parse_diff(diff: &str) -> Result<Vec<FileDiff>, Rejection> {
    let mut lines: Vec<&str> = diff.split('\n').collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    let mut reader = Reader { lines: &lines, at: 0 };
    let mut files = Vec::new();
    while let Some(line) = reader.peek() {
        if let Some(names) = line.strip_prefix("diff --git ") {
            reader.at += 1;
            files.push(reader.git_file(names)?);
        } else if line.starts_with("--- ") && reader.ahead(1).is_some_and(|l| l.starts_with("+++ "))
        {
            files.push(reader.plain_file()?);
        } else if line.starts_with("@@ -") {
            return Err(reader.bad("a hunk without a file"));
        } else {
            reader.at += 1;
        }
    }
    if files.is_empty() {
        return Err(Rejection::new(ReasonCode::BadDiff, "the text holds no diff"));
    }
    Ok(files)
}

struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    fn ahead(&self, by: usize) -> Option<&'a str> {
        self.lines.get(self.at + by).copied()
    }

    fn bad(&self, why: &str) -> Rejection {
        Rejection::new(ReasonCode::BadDiff, format!("line {}: {why}", self.at + 1))
    }

    fn git_file(&mut self, names: &str) -> Result<FileDiff, Rejection> {
        let mut file = FileDiff::default();
        let (mut is_new, mut is_deleted, mut renamed) = (false, false, false);
        while let Some(line) = self.peek() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if let Some(mode) = line.strip_prefix("new file mode ") {
                is_new = true;
                file.mode = Some(self.mode(mode)?);
            } else if line.starts_with("deleted file mode ") {
                is_deleted = true;
            } else if let Some(mode) = line.strip_prefix("new mode ") {
                file.mode = Some(self.mode(mode)?);
            } else if let Some(name) = line.strip_prefix("rename from ") {
                file.old = Some(self.name(name)?);
                renamed = true;
            } else if let Some(name) = line.strip_prefix("rename to ") {
                file.new = Some(self.name(name)?);
                renamed = true;
            } else if let Some(name) = line.strip_prefix("copy from ") {
                file.old = Some(self.name(name)?);
                (file.copy, renamed) = (true, true);
            } else if let Some(name) = line.strip_prefix("copy to ") {
                file.new = Some(self.name(name)?);
                (file.copy, renamed) = (true, true);
            } else if !["old mode ", "similarity index ", "dissimilarity index ", "index "]
                .iter()
                .any(|known| line.starts_with(known))
            {
                break;
            }
            self.at += 1;
        }
        if renamed {
            if file.old.is_none() || file.new.is_none() {
                return Err(self.bad("a rename or copy that names one file only"));
            }
        } else if let Some(path) = common_name(names.strip_suffix('\r').unwrap_or(names)) {
            file.old = Some(path.clone());
            file.new = Some(path);
        }
        self.body(&mut file)?;
        if is_new {
            file.old = None;
        }
        if is_deleted {
            file.new = None;
        }
        if file.old.is_none() && file.new.is_none() {
            return Err(self.bad("no file name"));
        }
        Ok(file)
    }

    fn plain_file(&mut self) -> Result<FileDiff, Rejection> {
        let mut file = FileDiff::default();
        self.body(&mut file)?;
        if file.old.is_none() && file.new.is_none() {
            return Err(self.bad("both sides are `/dev/null`"));
        }
        Ok(file)
    }

    fn mode(&self, text: &str) -> Result<FileMode, Rejection> {
        FileMode::from_git(text.trim()).ok_or_else(|| self.bad("an unknown file mode"))
    }

    fn name(&self, text: &str) -> Result<String, Rejection> {
        unquote(text)
            .map(|(name, _)| name.into_owned())
            .ok_or_else(|| self.bad("a file name that cannot be read"))
    }

    /// Names with prefix, hunks or binary data.
    fn body(&mut self, file: &mut FileDiff) -> Result<(), Rejection> {
        let Some(line) = self.peek() else { return Ok(()) };
        if line.starts_with("GIT binary patch") {
            self.at += 1;
            let Some((hunk, read)) = read_hunk(&self.lines[self.at..]) else {
                return Err(self.bad("a broken binary patch"));
            };
            self.at += read;
            file.binary = Some(hunk);
            return Ok(());
        }
        if line.starts_with("Binary files ") {
            return Err(self.bad("a binary file without its data"));
        }
        if line.starts_with("--- ") && self.ahead(1).is_some_and(|next| next.starts_with("+++ ")) {
            let sides = [line, self.ahead(1).unwrap_or_default()].map(|line| &line[4..]);
            let [old, new] = [self.side(sides[0])?, self.side(sides[1])?];
            self.at += 2;
            // The names of `rename from` and of `diff --git` bind; these only add `/dev/null`.
            let renamed = file.old.is_some() && file.old != file.new;
            if !renamed {
                (file.old, file.new) = (old, new);
            }
        }
        while let Some(line) = self.peek() {
            if !line.starts_with("@@ -") {
                break;
            }
            let hunk = self.hunk(line)?;
            file.hunks.push(hunk);
        }
        Ok(())
    }

    /// The path of a `---` or `+++` line; nothing for `/dev/null`.
    fn side(&self, text: &str) -> Result<Option<String>, Rejection> {
        let name = self.name(text.strip_suffix('\r').unwrap_or(text))?;
        if name == "/dev/null" {
            return Ok(None);
        }
        let path = name.strip_prefix("a/").or_else(|| name.strip_prefix("b/")).unwrap_or(&name);
        Ok(Some(path.to_owned()))
    }

    fn hunk(&mut self, header: &str) -> Result<Hunk, Rejection> {
        let Some((old, new)) = header_spans(header) else {
            return Err(self.bad("a hunk header that cannot be read"));
        };
        let mut hunk =
            Hunk { line: self.at + 1, old_start: old.0, new_start: new.0, ..Hunk::default() };
        let (mut old_left, mut new_left) = (old.1, new.1);
        self.at += 1;
        while old_left > 0 || new_left > 0 {
            let Some(line) = self.peek() else {
                return Err(self.bad("the diff ends within a hunk"));
            };
            // Tools that trim lines turn an empty context line into an empty line.
            let (sign, text) = match line.split_at_checked(1) {
                Some(parts) => parts,
                None if line.is_empty() => (" ", ""),
                None => return Err(self.bad("a line that belongs to no hunk")),
            };
            let missing = self.ahead(1).is_some_and(|next| next.starts_with('\\'));
            let mut bytes = text.as_bytes().to_vec();
            if !missing {
                bytes.push(b'\n');
            }
            let (takes_old, takes_new) = match sign {
                " " => (true, true),
                "-" => (true, false),
                "+" => (false, true),
                _ => return Err(self.bad("a line that belongs to no hunk")),
            };
            if (takes_old && old_left == 0) || (takes_new && new_left == 0) {
                return Err(self.bad("a hunk with more lines than its header says"));
            }
            if takes_old {
                old_left -= 1;
                hunk.old.push(bytes.clone());
            }
            if takes_new {
                new_left -= 1;
                hunk.new.push(bytes);
            }
            hunk.at_end = sign != " ";
            self.at += if missing { 2 } else { 1 };
        }
        Ok(hunk)
    }
}

/// Start and length of both sides of `@@ -1,2 +3,4 @@`.
fn header_spans(header: &str) -> Option<((usize, usize), (usize, usize))> {
    let (spans, _) = header.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = spans.split_once(" +")?;
    Some((span(old)?, span(new)?))
}

fn span(text: &str) -> Option<(usize, usize)> {
    match text.split_once(',') {
        Some((start, len)) => Some((start.parse().ok()?, len.parse().ok()?)),
        None => Some((text.parse().ok()?, 1)),
    }
}

/// The path in `a/path b/path`, if both sides are the same.
fn common_name(names: &str) -> Option<String> {
    if names.starts_with('"') {
        let (old, rest) = unquote(names)?;
        let (new, _) = unquote(rest.strip_prefix(' ')?)?;
        let (old, new) = (old.strip_prefix("a/")?, new.strip_prefix("b/")?);
        return (old == new).then(|| old.to_owned());
    }
    // Both names are equally long but may hold blanks.
    let middle = names.len() / 2;
    let (old, new) = (names.get(..middle)?, names.get(middle + 1..)?);
    let (old, new) = (old.strip_prefix("a/")?, new.strip_prefix("b/")?);
    (old == new && names.as_bytes().get(middle) == Some(&b' ')).then(|| old.to_owned())
}
