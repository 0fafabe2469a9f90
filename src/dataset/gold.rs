//! What only a grader may know of an instance.

use serde::Serialize;

/// The reference solution and the tests that judge a prediction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gold {
    /// Reference diff of source files.
    pub patch: String,
    /// Diff of test files.
    pub test_patch: String,
    /// Tests that fail before the fix and must pass after it.
    pub fail_to_pass: Vec<String>,
    /// Tests that pass before the fix and must still pass after it.
    pub pass_to_pass: Vec<String>,
    /// The whole evaluation script, for rows of SWE-bench 5.
    pub eval_script: Option<String>,
    /// How the lists are judged.
    pub eval_type: EvalType,
    /// SWE-bench's name of the log parser.
    pub log_parser: Option<String>,
    /// Version key of the project; empty when the row has none.
    pub version: String,
    /// What is appended to the test command; absent when it follows from the test patch.
    pub test_directives: Option<Vec<String>>,
}

impl Gold {
    /// Files of the base commit that the reference diff changes, moves or deletes, in its order;
    /// files that it creates are none of them.
    #[must_use]
    pub fn edited_files(&self) -> Vec<String> {
        let mut files = Vec::<String>::new();
        let (mut before, mut after) = (0usize, 0usize);
        for line in self.patch.split('\n') {
            if before > 0 || after > 0 {
                // Within a hunk a removed `-- a/x` looks like a header.
                let mark = line.bytes().next();
                before -= usize::from(!matches!(mark, Some(b'+' | b'\\'))).min(before);
                after -= usize::from(!matches!(mark, Some(b'-' | b'\\'))).min(after);
                continue;
            }
            let name = line.strip_prefix("--- ").or_else(|| line.strip_prefix("rename from "));
            if let Some(name) = name {
                let name = name.split('\t').next().unwrap_or(name).trim_end();
                let path = name.strip_prefix("a/").unwrap_or(name);
                if path != "/dev/null" && files.iter().all(|known| known != path) {
                    files.push(path.to_owned());
                }
            } else if let Some(ranges) = line.strip_prefix("@@ -") {
                let mut ranges = ranges.split(' ').map(|range| {
                    let length = range.split_once(',').map(|(_, length)| length);
                    length.map_or(1, |length| length.parse().unwrap_or(0))
                });
                before = ranges.next().unwrap_or(0);
                after = ranges.next().unwrap_or(0);
            }
        }
        files
    }
}

/// How test lists are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvalType {
    /// A listed test must be seen to pass.
    PassAndFail,
    /// A listed test must not be seen to fail (runners that print failures only).
    FailOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edited_files_are_those_that_the_base_commit_has() {
        let patch = "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1 @@\n--- a/no.py\n x\n\
            diff --git a/new.py b/new.py\nnew file mode 100644\n--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x\n\
            diff --git a/old.py b/moved.py\nsimilarity index 100%\nrename from old.py\nrename to moved.py\n\
            diff --git a/gone.py b/gone.py\ndeleted file mode 100644\n--- a/gone.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";
        let gold = Gold {
            patch: patch.into(),
            test_patch: String::new(),
            fail_to_pass: Vec::new(),
            pass_to_pass: Vec::new(),
            eval_script: None,
            eval_type: EvalType::PassAndFail,
            log_parser: None,
            version: String::new(),
            test_directives: None,
        };
        assert_eq!(gold.edited_files(), ["a.py", "old.py", "gone.py"]);
    }
}
