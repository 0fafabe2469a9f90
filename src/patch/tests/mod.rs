//! Tests that cross the files of this module: the edge cases E01-E49 of the design, round trips
//! through real git, hostile input.

mod bases;
mod behaviour;
mod classes;
mod edge_applying;
mod edge_parsing;
mod git;
mod hostile;
mod round_trip;
mod strict;

use std::collections::BTreeMap;

use crate::patch::*;

/// A tree in memory.
#[derive(Debug, Default, Clone)]
pub(super) struct Tree {
    files: BTreeMap<String, FileState>,
    paths: Vec<String>,
}

impl Tree {
    pub(super) fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut tree = Self::default();
        for (path, content) in files {
            tree.put(path, content, FileMode::Regular);
        }
        tree
    }

    pub(super) fn put(&mut self, path: &str, content: &[u8], mode: FileMode) {
        self.files.insert(path.to_owned(), FileState { content: content.to_vec(), mode });
        self.paths = self.files.keys().cloned().collect();
    }
}

impl BaseTree for Tree {
    fn read(&self, path: &str) -> Option<FileState> {
        self.files.get(path).cloned()
    }

    fn paths(&self) -> &[String] {
        &self.paths
    }
}

pub(super) const A_PY: &str = "import os\n\ndef add(a, b):\n    return a + b\n\n\
                               def subtract(a, b):\n    return a - b\n";

/// The design's `a.py` next to some other files; all of them are shown unless a test says else.
pub(super) fn tree() -> Tree {
    Tree::new([
        ("a.py", A_PY.as_bytes()),
        ("b.py", b"x = 1\ny = 2\n"),
        ("docs/index.rst", b"Title\n=======\ntext\n"),
        ("it's.py", b"q = 1\n"),
        ("pkg/__init__.py", b""),
        ("pkg/core/util.py", b"def util():\n    pass\n"),
        ("setup.cfg", b"[metadata]\nname = x\n"),
    ])
}

pub(super) fn apply(answer: &str) -> Result<Applied, Rejection> {
    let tree = tree();
    let shown = ["a.py", "b.py", "docs/index.rst"].map(str::to_owned);
    apply_answer(answer, &shown, &tree, &ApplyOptions::default())
}

/// The text of the one file that an answer changes, and the rules.
pub(super) fn text_of(applied: &Applied) -> (&str, &str, Vec<&str>) {
    assert_eq!(applied.changes.len(), 1, "{applied:?}");
    let change = &applied.changes[0];
    let content = &change.new.as_ref().expect("not deleted").content;
    let rules = applied.rules.iter().map(String::as_str).collect();
    (&change.path, std::str::from_utf8(content).expect("UTF-8"), rules)
}

/// Asserts that an answer gives this file this text by these rules.
#[track_caller]
pub(super) fn accepts(answer: &str, path: &str, text: &str, rules: &[&str]) {
    let applied = apply(answer).expect(answer);
    assert_eq!(text_of(&applied), (path, text, rules.to_vec()), "{answer}");
}

#[track_caller]
pub(super) fn rejects(answer: &str, code: ReasonCode) {
    match apply(answer) {
        Ok(applied) => panic!("accepted: {answer}\n{applied:?}"),
        Err(rejection) => assert_eq!(rejection.code, code, "{rejection}\n{answer}"),
    }
}

pub(super) const ADD: &str = "import os\n\ndef add(a, b):\n    return b + a\n\n\
                   def subtract(a, b):\n    return a - b\n";
pub(super) const BOTH: &str = "import os\n\ndef add(a, b):\n    return b + a\n\n\
                    def subtract(a, b):\n    return b - a\n";
pub(super) const EDIT: &str =
    "<<<<<<< SEARCH\n    return a + b\n=======\n    return b + a\n>>>>>>> REPLACE\n";
pub(super) const EDIT_2: &str =
    "<<<<<<< SEARCH\n    return a - b\n=======\n    return b - a\n>>>>>>> REPLACE\n";

pub(super) fn edit(search: &str, replace: &str) -> String {
    format!(
        "```python\n### a.py\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n```\n"
    )
}
