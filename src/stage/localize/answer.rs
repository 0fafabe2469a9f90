//! From a model's answer to paths of the tree, however the model wrote them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use regex::Regex;

/// How a written line became a path; stricter rules come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// The line is a path of the tree.
    Exact,
    /// It is one without bullets, numbers, quotes, `./` and remarks.
    Stripped,
    /// It ends one path only, or one path ends it.
    Suffix,
    /// Its last component names one file only.
    Basename,
    /// As one of the above when case is ignored.
    Case,
    /// It is a few letters away from one path only.
    Spelling,
}

impl Rule {
    /// For reasons.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact path",
            Self::Stripped => "path without decoration",
            Self::Suffix => "unique suffix",
            Self::Basename => "unique file name",
            Self::Case => "case ignored",
            Self::Spelling => "nearest spelling",
        }
    }
}

/// A path of the tree that an answer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) path: String,
    pub(crate) rule: Rule,
}

/// The paths of a tree, ready to be found.
pub(crate) struct Paths<'a> {
    all: BTreeSet<&'a str>,
    by_name: HashMap<&'a str, Vec<&'a str>>,
    folded: BTreeMap<String, Vec<&'a str>>,
}

static DECORATION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:[-*+•>]\s+|\(?\d{1,3}[.):]\s*|#+\s+|file\s*:\s*|path\s*:\s*)+"#)
        .expect("a constant pattern that the tests use")
});
// What may follow a path: a line number, a member, a remark.
static REMARK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(\.\w+)(?:::?[\w.:\-]*|#L?[\w\-]*)?(?:\s*[#(\[].*|\s+(?:[-–—:/]|<-|//).*|\s*[,;:]\s.*|[,;:.])?$")
        .expect("a constant pattern that the tests use")
});

impl<'a> Paths<'a> {
    pub(crate) fn new(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let all = paths.into_iter().collect::<BTreeSet<_>>();
        let mut by_name = HashMap::<_, Vec<_>>::new();
        let mut folded = BTreeMap::<_, Vec<_>>::new();
        for path in &all {
            by_name.entry(base(path)).or_default().push(*path);
            folded.entry(path.to_lowercase()).or_default().push(*path);
        }
        Self { all, by_name, folded }
    }

    /// Paths that an answer names, in its order, each once, at most `limit`. The lines of fenced
    /// blocks count; where these name nothing, all lines do, but only by the stricter rules.
    pub(crate) fn named(&self, answer: &str, limit: usize) -> Vec<Named> {
        let (fenced, open) = split(answer);
        let named = self.collect(&fenced, Rule::Spelling, limit);
        if named.is_empty() { self.collect(&open, Rule::Suffix, limit) } else { named }
    }

    fn collect(&self, lines: &[&str], loosest: Rule, limit: usize) -> Vec<Named> {
        let mut seen = BTreeSet::new();
        let found = lines.iter().filter_map(|line| self.resolve(line));
        found
            .filter(|named| named.rule <= loosest)
            .filter(|named| seen.insert(named.path.clone()))
            .take(limit)
            .collect()
    }

    /// The path that one line names.
    pub(crate) fn resolve(&self, line: &str) -> Option<Named> {
        let named = |path: &str, rule| Some(Named { path: path.to_owned(), rule });
        let line = line.trim_end_matches(['\r', '\n']);
        if let Some(path) = self.all.get(line) {
            return named(path, Rule::Exact);
        }
        let path = &strip(line);
        if let Some(path) = self.all.get(path.as_str()) {
            return named(path, Rule::Stripped);
        }
        // Without a dot or a slash it is prose or a name of something else.
        if path.is_empty() || path.len() > 1000 || !path.contains(['/', '.']) {
            return None;
        }
        if let Some(path) = self.by_suffix(path) {
            return named(path, Rule::Suffix);
        }
        if let Some([path]) = self.by_name.get(base(path)).map(Vec::as_slice) {
            return named(path, Rule::Basename);
        }
        if let Some(path) = self.ignoring_case(&path.to_lowercase()) {
            return named(path, Rule::Case);
        }
        self.by_spelling(path).and_then(|path| named(path, Rule::Spelling))
    }

    fn by_suffix(&self, path: &str) -> Option<&'a str> {
        // A path under some directory that the tree does not have, such as the repository's name.
        let mut rest = path;
        while let Some((_, inner)) = rest.split_once('/') {
            if let Some(found) = self.all.get(inner).filter(|_| inner.contains('/')) {
                return Some(found);
            }
            rest = inner;
        }
        let ending =
            |found: &&&str| found.strip_suffix(path).is_some_and(|before| before.ends_with('/'));
        let mut found = self.by_name.get(base(path))?.iter().filter(ending);
        found.next().filter(|_| found.next().is_none()).copied()
    }

    fn ignoring_case(&self, lower: &str) -> Option<&'a str> {
        if let Some([path]) = self.folded.get(lower).map(Vec::as_slice) {
            return Some(path);
        }
        let suffix = format!("/{lower}");
        let mut found = self.folded.iter().filter(|(path, _)| path.ends_with(&suffix));
        let (_, paths) = found.next().filter(|_| found.next().is_none())?;
        if let [path] = paths.as_slice() { Some(path) } else { None }
    }

    /// One edit for each six bytes, at most four, and nothing else as near.
    fn by_spelling(&self, path: &str) -> Option<&'a str> {
        let bound = (path.len() / 6).min(4);
        let mut best = bound + 1;
        let mut found = None;
        for known in &self.all {
            if known.len().abs_diff(path.len()) > bound {
                continue;
            }
            let distance = strsim::levenshtein(known, path);
            if distance < best {
                best = distance;
                found = Some(*known);
            } else if distance == best {
                found = None;
            }
        }
        found
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A line without what models put around paths.
fn strip(line: &str) -> String {
    let line = line.trim();
    let mut text = DECORATION.replace(line, "").into_owned();
    // Text in quotes or backticks is the path, whatever stands around it.
    for quote in ['`', '"', '\''] {
        let mut pieces = text.split(quote);
        if let (Some(_), Some(inner), Some(_)) = (pieces.next(), pieces.next(), pieces.next())
            && inner.contains(['/', '.'])
        {
            text = inner.to_owned();
            break;
        }
    }
    let text = text.trim().trim_matches(['*', '`', '"', '\'', ',', ';', '<', '>']);
    let text = REMARK.replace(text, "$1").replace('\\', "/");
    let mut text = text.trim();
    while let Some(rest) = text.strip_prefix("./").or_else(|| text.strip_prefix('/')) {
        text = rest;
    }
    text.to_owned()
}

/// Lines inside of fenced blocks, and lines outside. An unclosed block runs to the end.
fn split(answer: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    let mut fenced = false;
    for line in answer.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            fenced = !fenced;
        } else if fenced {
            inside.push(line);
        } else {
            outside.push(line);
        }
    }
    (inside, outside)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TREE: &[&str] = &[
        "a/b.py",
        "django/db/models/base.py",
        "django/core/base.py",
        "requests/sessions.py",
        "requests/__init__.py",
        "src/_pytest/Mark.py",
        "odd name/with blank.py",
        "v1.2/old.py",
        "# strange.py",
        "setup.py",
        "pkg/__init__.py",
    ];

    #[test]
    fn lines_resolve_by_the_strictest_rule_that_fits() {
        let paths = Paths::new(TREE.iter().copied());
        for (line, path, rule) in [
            ("a/b.py", "a/b.py", Rule::Exact),
            ("# strange.py", "# strange.py", Rule::Exact),
            ("odd name/with blank.py", "odd name/with blank.py", Rule::Exact),
            ("a/b.py\r", "a/b.py", Rule::Exact),
            ("  a/b.py  ", "a/b.py", Rule::Stripped),
            ("- a/b.py", "a/b.py", Rule::Stripped),
            ("* `a/b.py`", "a/b.py", Rule::Stripped),
            ("1. a/b.py", "a/b.py", Rule::Stripped),
            ("2) \"a/b.py\",", "a/b.py", Rule::Stripped),
            ("### a/b.py", "a/b.py", Rule::Stripped),
            ("**a/b.py**", "a/b.py", Rule::Stripped),
            ("./a/b.py", "a/b.py", Rule::Stripped),
            ("/a/b.py", "a/b.py", Rule::Stripped),
            ("a\\b.py", "a/b.py", Rule::Stripped),
            ("a/b.py # the parser", "a/b.py", Rule::Stripped),
            ("a/b.py - where it is defined", "a/b.py", Rule::Stripped),
            ("a/b.py (main)", "a/b.py", Rule::Stripped),
            ("a/b.py: handles it", "a/b.py", Rule::Stripped),
            ("a/b.py:120-130", "a/b.py", Rule::Stripped),
            ("a/b.py::Class.method", "a/b.py", Rule::Stripped),
            ("a/b.py#L10", "a/b.py", Rule::Stripped),
            ("1. **`v1.2/old.py`**: old code", "v1.2/old.py", Rule::Stripped),
            ("- odd name/with blank.py", "odd name/with blank.py", Rule::Stripped),
            ("db/models/base.py", "django/db/models/base.py", Rule::Suffix),
            ("requests/requests/sessions.py", "requests/sessions.py", Rule::Suffix),
            ("sessions.py", "requests/sessions.py", Rule::Suffix),
            ("wrong/place/sessions.py", "requests/sessions.py", Rule::Basename),
            ("SRC/_pytest/mark.py", "src/_pytest/Mark.py", Rule::Case),
            ("_pytest/mark.py", "src/_pytest/Mark.py", Rule::Case),
            ("django/db/model/base.py", "django/db/models/base.py", Rule::Spelling),
            ("reqests/session.py", "requests/sessions.py", Rule::Spelling),
        ] {
            let expected = Named { path: path.to_owned(), rule };
            assert_eq!(paths.resolve(line), Some(expected), "{line:?}");
        }
        let prose = "The bug is in the session handling.";
        for line in [
            "",
            "   ",
            "base.py",
            "__init__.py",
            "python",
            prose,
            "x/nothing_like_it.py",
            "..",
            "/",
        ] {
            assert_eq!(paths.resolve(line), None, "{line:?}");
        }
    }

    fn named(answer: &str, limit: usize) -> Vec<String> {
        let named = Paths::new(TREE.iter().copied()).named(answer, limit);
        named.into_iter().map(|named| named.path).collect()
    }

    #[test]
    fn answers_are_read_once_a_file_in_order() {
        let answer = "I looked at setup.py.\n```\na/b.py\n- requests/sessions.py\n./a/b.py\n\
            no/such.py\nsetup.py\n```\nThat is all.";
        assert_eq!(named(answer, 5), ["a/b.py", "requests/sessions.py", "setup.py"]);
        assert_eq!(named(answer, 2), ["a/b.py", "requests/sessions.py"]);
        assert_eq!(named("```python\na/b.py\n", 5), ["a/b.py"]);
        assert_eq!(
            named("1. `a/b.py`: x\n2. sessions.py\n3. reqests/session.py", 5),
            ["a/b.py", "requests/sessions.py"]
        );
        assert_eq!(named("```\nnothing here\n```\na/b.py", 5), ["a/b.py"]);
        assert_eq!(named("", 5), [] as [&str; 0]);
    }
}
