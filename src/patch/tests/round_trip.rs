//! Generated file pairs and answers: diffs come back, answers say what they mean, nothing panics.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "", "  x", "-", "+ y", "\\", "@@ -1 +1 @@", "    return 1"])
            .prop_map(|line| line.as_bytes().to_vec()),
        1 => "[ -~é→]{0,12}".prop_map(String::into_bytes),
        1 => Just(b"caf\xe9".to_vec()),
        1 => Just(b"a\r".to_vec()),
    ]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let eol = prop_oneof![5 => Just("\n"), 1 => Just("\r\n")];
    (prop::collection::vec((line(), eol), 0..24), any::<bool>()).prop_map(|(lines, finish)| {
        let mut bytes: Vec<u8> = Vec::new();
        for (line, eol) in &lines {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(eol.as_bytes());
        }
        if !finish && bytes.ends_with(b"\n") {
            bytes.pop();
        }
        bytes
    })
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["p.py", "d/x y.txt", "é.py", "q\"u\\o.py", "t\tab", "b/a/c"])
        .prop_map(str::to_owned)
}

fn pair() -> impl Strategy<Value = FileChange> {
    let mode = prop::sample::select(vec![FileMode::Regular, FileMode::Executable]);
    let state = || {
        prop::option::weighted(
            0.9,
            (file(), mode.clone()).prop_map(|(content, mode)| FileState { content, mode }),
        )
    };
    (name(), state(), state()).prop_map(|(path, old, new)| FileChange { path, old, new })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_diff_gives_the_new_bytes(change in pair()) {
        prop_assume!(!change.is_unchanged());
        let mut base = Tree::default();
        if let Some(old) = &change.old {
            base.put(&change.path, &old.content, old.mode);
        }
        let text = diff(std::slice::from_ref(&change));
        if change.path.contains(['\\', '\t']) {
            prop_assert_eq!(apply_diff(&text, &base).unwrap_err().code, ReasonCode::UnsafePath);
        } else {
            prop_assert_eq!(apply_diff(&text, &base).unwrap(), vec![change], "{}", text);
        }
    }

    #[test]
    fn an_edit_of_unique_lines_gives_exactly_the_new_file(
        lines in prop::collection::vec("[a-z ]{0,6}", 1..20),
        at in any::<Index>(),
        take in 1_usize..4,
        replace in prop::collection::vec("[A-Z ]{1,6}", 0..4),
        crlf in any::<bool>(),
        finish in any::<bool>(),
    ) {
        let eol = if crlf { "\r\n" } else { "\n" };
        // A lone line without end does not say which end the file's lines have.
        prop_assume!(finish || !crlf || lines.len() > 1);
        let numbered: Vec<String> = lines.iter().enumerate().map(|(n, l)| format!("{l}{n}")).collect();
        let start = at.index(numbered.len());
        let end = (start + take).min(numbered.len());
        let join = |lines: &[String]| {
            let text = lines.join(eol);
            if finish && !lines.is_empty() { text + eol } else { text }
        };
        let mut new = numbered.clone();
        let written = match replace.as_slice() { [one] if one.trim().is_empty() => vec![], all => all.to_vec() };
        new.splice(start..end, written.clone());
        prop_assume!(new.iter().any(|line| !line.trim().is_empty()));
        // Deleting the last lines leaves the line before them with its end.
        let expected = if !finish && written.is_empty() && end == numbered.len() { join(&new) + eol } else { join(&new) };
        let tree = Tree::new([("f.txt", join(&numbered).as_bytes())]);
        let block = |lines: &[String]| lines.iter().map(|l| format!("{l}\n")).collect::<String>();
        let answer = format!(
            "### f.txt\n```\n<<<<<<< SEARCH\n{}=======\n{}>>>>>>> REPLACE\n```\n",
            block(&numbered[start..end]), block(&replace),
        );
        let applied = apply_answer(&answer, &[], &tree, &ApplyOptions::default()).unwrap();
        prop_assert_eq!(&applied.rules, &["exact"]);
        prop_assert_eq!(text_of(&applied).1, expected);
    }

    #[test]
    fn a_mangled_answer_never_panics_and_never_half_applies(
        cuts in prop::collection::vec((any::<Index>(), any::<Index>(), 0_u8..5), 0..6),
        all in any::<bool>(),
    ) {
        let answer = mangle(cuts);
        let tree = tree();
        let shown = ["a.py", "b.py", "docs/index.rst"].map(str::to_owned);
        let options = ApplyOptions { replace_all: all, ..ApplyOptions::default() };
        let _ = extract_script(&answer);
        let _ = apply_diff(&answer, &tree);
        if let Ok(applied) = apply_answer(&answer, &shown, &tree, &options) {
            prop_assert!(!applied.changes.is_empty());
            prop_assert!(applied.changes.iter().all(|change| !change.is_unchanged()));
            prop_assert!(applied.changes.is_sorted_by(|a, b| a.path < b.path));
            let text = diff(&applied.changes);
            prop_assert_eq!(apply_diff(&text, &tree).unwrap(), applied.changes.clone());
            let _ = check_syntax(&applied.changes, Some((3, 8)));
            let _ = classify(&applied.changes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn real_git_takes_generated_diffs(pairs in prop::collection::vec(pair(), 4)) {
        let mut changes: Vec<FileChange> = Vec::new();
        for (index, mut change) in pairs.into_iter().enumerate() {
            if change.is_unchanged() || change.path.contains(['\\', '\t']) {
                continue;
            }
            change.path = format!("{index}/{}", change.path);
            changes.push(change);
        }
        prop_assume!(!changes.is_empty());
        super::git::check(&changes);
    }
}

/// An answer of several edits with pieces cut out, doubled, swapped or replaced.
fn mangle(cuts: Vec<(Index, Index, u8)>) -> String {
    let mut lines: Vec<String> = SAMPLE.lines().map(str::to_owned).collect();
    for (one, two, kind) in cuts {
        if lines.is_empty() {
            break;
        }
        let (a, b) = (one.index(lines.len()), two.index(lines.len()));
        match kind {
            0 => drop(lines.remove(a)),
            1 => lines.swap(a, b),
            2 => {
                let copy = lines[a].clone();
                lines.insert(b, copy);
            }
            3 => {
                let keep = lines[a].chars().count() / 2;
                lines[a] = lines[a].chars().take(keep).collect();
            }
            _ => lines[a] = format!("  é{}", lines[b]),
        }
    }
    lines.join("\n")
}

const SAMPLE: &str = "\
<think>
perhaps
</think>
<solution>
```python
### a.py
<<<<<<< SEARCH
def add(a, b):
    return a + b
=======
def add(a, b):
    \"\"\"Adds → both.\"\"\"
    return b + a
>>>>>>> REPLACE
### docs/index.rst
<<<<<<< SEARCH
Title
=======
text
=======
Title
=======
more
>>>>>>> REPLACE
```
### DELETE b.py
```
### pkg/new.py
<<<<<<< SEARCH
=======
x = 1
>>>>>>> REPLACE
```
diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,4 +1,4 @@
-import os
+import re

 def add(a, b):
     return a + b
</solution>";
