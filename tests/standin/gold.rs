//! What the stand-in knows of an instance: the hunks of its gold patch as edits, and scripts written
//! by hand.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One instance.
#[derive(Debug, Default, Clone)]
pub(crate) struct Known {
    /// Edits of the gold patch, in its order.
    pub(crate) edits: Vec<Edit>,
    /// Scripts that reproduce the issue.
    pub(crate) good: Vec<String>,
    /// Scripts that do not.
    pub(crate) bad: Vec<String>,
}

impl Known {
    /// The gold files, each once.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = Vec::new();
        for edit in &self.edits {
            if !files.contains(&edit.path) {
                files.push(edit.path.clone());
            }
        }
        files
    }
}

/// How a line of a hunk is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Context,
    Removed,
    Added,
}

/// One hunk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edit {
    pub(crate) path: String,
    /// Whether the file goes.
    pub(crate) deletes: bool,
    /// First line of the hunk in the file as it was, from 1; 0 in a new file.
    pub(crate) first: usize,
    pub(crate) lines: Vec<(Mark, String)>,
}

impl Edit {
    /// The first line of the old file that changes, or before which something is inserted.
    pub(crate) fn changes(&self) -> usize {
        let kept = self.lines.iter().take_while(|(mark, _)| *mark == Mark::Context);
        self.first + kept.count()
    }

    /// The text that is searched.
    pub(crate) fn before(&self) -> Vec<String> {
        self.without(Mark::Added)
    }

    /// The text that takes its place.
    pub(crate) fn after(&self) -> Vec<String> {
        self.without(Mark::Removed)
    }

    fn without(&self, mark: Mark) -> Vec<String> {
        let kept = self.lines.iter().filter(|(own, _)| *own != mark);
        kept.map(|(_, text)| text.clone()).collect()
    }
}

/// A row in SWE-bench's schema, as far as it matters here.
#[derive(Deserialize)]
struct Row {
    instance_id: String,
    #[serde(default)]
    patch: String,
}

/// Reads rows (JSON lines, or one JSON array) and the scripts `<scripts>/<instance>/{good,bad}*.py`
/// (or in a folder `scripts` below that).
pub(crate) fn load(
    datasets: &[PathBuf],
    scripts: Option<&Path>,
) -> Result<HashMap<String, Known>, String> {
    let mut known = HashMap::new();
    for path in datasets {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
        for row in rows(&text).map_err(|e| format!("{shown}: {e}"))? {
            let mut own = Known { edits: edits(&row.patch), ..Known::default() };
            if let Some(folder) = scripts.map(|scripts| scripts.join(&row.instance_id)) {
                let inner = folder.join("scripts");
                let folder = if inner.is_dir() { inner } else { folder };
                own.good = read_scripts(&folder, "good")?;
                own.bad = read_scripts(&folder, "bad")?;
            }
            known.insert(row.instance_id, own);
        }
    }
    Ok(known)
}

fn rows(text: &str) -> Result<Vec<Row>, String> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|e| e.to_string());
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(n, line)| serde_json::from_str(line).map_err(|e| format!("line {}: {e}", n + 1)))
        .collect()
}

/// The scripts in `folder` whose names begin with `kind`, by name. A missing folder has none.
fn read_scripts(folder: &Path, kind: &str) -> Result<Vec<String>, String> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(kind) && name.ends_with(".py")
    });
    paths.sort();
    let read = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
    };
    paths.iter().map(read).collect()
}

/// The hunks of a git diff.
pub(crate) fn edits(patch: &str) -> Vec<Edit> {
    let mut edits: Vec<Edit> = Vec::new();
    let (mut old, mut path, mut deletes) = (String::new(), String::new(), false);
    // Lines of the hunk that are still to come, before and after.
    let (mut before, mut after) = (0, 0);
    for line in patch.split('\n') {
        if before > 0 || after > 0 {
            let (mark, text) = match line.as_bytes().first() {
                Some(b'+') => (Mark::Added, &line[1..]),
                Some(b'-') => (Mark::Removed, &line[1..]),
                // "\ No newline at end of file"
                Some(b'\\') => continue,
                Some(_) => (Mark::Context, &line[1..]),
                None => (Mark::Context, line),
            };
            before -= usize::from(mark != Mark::Added).min(before);
            after -= usize::from(mark != Mark::Removed).min(after);
            if let Some(edit) = edits.last_mut() {
                edit.lines.push((mark, text.to_owned()));
            }
        } else if let Some(name) = line.strip_prefix("--- ") {
            old = clean(name);
        } else if let Some(name) = line.strip_prefix("+++ ") {
            let new = clean(name);
            deletes = new.is_empty();
            path = if deletes { old.clone() } else { new };
        } else if let Some(ranges) = line.strip_prefix("@@ -") {
            (before, after) = lengths(ranges);
            let first = ranges.split([',', ' ']).next().and_then(|first| first.parse().ok());
            let first = first.unwrap_or(0);
            edits.push(Edit { path: path.clone(), deletes, first, lines: Vec::new() });
        }
    }
    edits
}

/// `a/x.py` as `x.py`, `/dev/null` as nothing.
fn clean(name: &str) -> String {
    let name = name.split('\t').next().unwrap_or_default().trim_end_matches('\r');
    if name == "/dev/null" {
        return String::new();
    }
    let bare = name.strip_prefix("a/").or_else(|| name.strip_prefix("b/"));
    bare.unwrap_or(name).to_owned()
}

/// The two lengths in `1,5 +1,6 @@ ...`; a length that is not there is 1.
fn lengths(ranges: &str) -> (usize, usize) {
    let length =
        |range: &str| range.split_once(',').map_or(1, |(_, length)| length.parse().unwrap_or(0));
    let mut words = ranges.split(' ');
    let old = words.next().map_or(0, length);
    (old, words.next().map_or(0, |new| length(new.trim_start_matches('+'))))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const PATCH: &str = "\
diff --git a/pkg/calc.py b/pkg/calc.py
--- a/pkg/calc.py
+++ b/pkg/calc.py
@@ -1,5 +1,7 @@ import os
 def half(value):
-    return value / 2
+    if value is None:
+        return 0
+    return value // 2
 
 def twice(value):
     return value * 2
@@ -9,3 +11,2 @@
 def last():
-    # gone
     return 1
\\ No newline at end of file
diff --git a/pkg/new.py b/pkg/new.py
new file mode 100644
--- /dev/null
+++ b/pkg/new.py
@@ -0,0 +1,2 @@
+--- this is text, not a header
+X = 1
";

    #[test]
    fn hunks_become_edits() {
        let edits = edits(PATCH);
        let paths: Vec<_> = edits.iter().map(|edit| edit.path.as_str()).collect();
        assert_eq!(paths, ["pkg/calc.py", "pkg/calc.py", "pkg/new.py"]);
        assert_eq!(edits.iter().map(Edit::changes).collect::<Vec<_>>(), [2, 10, 0]);
        let lines = |lines: Vec<String>| lines.join("\n");
        let tail = "\n\ndef twice(value):\n    return value * 2";
        assert_eq!(
            lines(edits[0].before()),
            format!("def half(value):\n    return value / 2{tail}")
        );
        assert!(lines(edits[0].after()).ends_with(&format!("    return value // 2{tail}")));
        assert_eq!(lines(edits[1].after()), "def last():\n    return 1");
        assert!(edits[2].before().is_empty() && edits.iter().all(|edit| !edit.deletes));
        assert_eq!(lines(edits[2].after()), "--- this is text, not a header\nX = 1");
    }

    #[test]
    fn a_file_that_goes_is_marked() {
        let edits = edits("--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n");
        assert_eq!((edits[0].path.as_str(), edits[0].deletes), ("x.py", true));
    }

    #[test]
    fn rows_and_scripts_are_read() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let row =
            serde_json::json!({"instance_id": "a-1", "patch": PATCH, "problem_statement": "x"});
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(&path, text).expect("a file");
            path
        };
        let dataset = write("rows.jsonl", &format!("{row}\n\n"));
        write("scripts/a-1/good_2.py", "two");
        write("scripts/a-1/good.py", "one");
        write("scripts/a-1/bad.py", "three");
        let known = load(&[dataset], Some(&dir.path().join("scripts"))).expect("it loads");
        assert_eq!(known["a-1"].good, ["one", "two"]);
        assert_eq!(known["a-1"].bad, ["three"]);
        assert_eq!(known["a-1"].files(), ["pkg/calc.py", "pkg/new.py"]);
        let broken = write("broken.jsonl", "{\"instance_id\": \"a\"}\n{oops\n");
        let error = load(&[broken], None).expect_err("the second line is broken");
        assert!(error.contains("broken.jsonl: line 2"), "{error}");
    }
}
