//! Whether a patch is one that a harness can apply, and stays inside the repository.

/// What is wrong with a patch that is not empty.
pub(super) fn faults(patch: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !patch.starts_with("diff --git ") {
        faults.push("does not begin with `diff --git`".to_owned());
    }
    if !patch.ends_with('\n') {
        faults.push("does not end with a line end".to_owned());
    }
    // Lines of a hunk begin with a mark of their own, so these words are never a file's text.
    let mut head = true;
    for line in patch.lines() {
        if line.starts_with("diff --git ") {
            head = true;
        } else if line.starts_with("@@ ") {
            head = false;
        }
        if !head {
            continue;
        }
        if let Some(path) = path(line)
            && leads_outside(&path)
        {
            faults.push(format!("touches {path}, which is outside the repository's tree"));
        }
        if line.ends_with("mode 120000") {
            faults.push("makes a symbolic link".to_owned());
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

/// The path of a header line, without git's prefix.
fn path(line: &str) -> Option<String> {
    let marks = ["--- ", "+++ ", "rename from ", "rename to ", "copy from ", "copy to "];
    let (mark, rest) = marks.iter().find_map(|mark| Some((*mark, line.strip_prefix(mark)?)))?;
    let rest = rest.split('\t').next().unwrap_or_default().trim_matches('"');
    if rest == "/dev/null" {
        return None;
    }
    let prefixed = mark == "--- " || mark == "+++ ";
    let bare = rest.strip_prefix("a/").or(rest.strip_prefix("b/")).filter(|_| prefixed);
    Some(bare.unwrap_or(rest).to_owned())
}

fn leads_outside(path: &str) -> bool {
    path.starts_with('/')
        || path.split('/').any(|part| part == ".." || part.eq_ignore_ascii_case(".git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(path: &str) -> String {
        format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n")
    }

    #[test]
    fn patches_that_leave_the_tree_are_named() {
        assert_eq!(faults(&patch("src/a.py")), Vec::<String>::new());
        for bad in ["../a", "/etc/passwd", ".git/config", "x/../../y", "sub/.GIT/hooks/x"] {
            assert_eq!(faults(&patch(bad)).len(), 1, "{bad}");
        }
        let renamed = "diff --git a/x b/x\nrename from x\nrename to ../x\n";
        assert_eq!(faults(renamed).len(), 1);
        let link =
            "diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/\n";
        assert_eq!(faults(link), ["makes a symbolic link"]);
    }

    #[test]
    fn a_removed_line_that_looks_like_a_header_is_none() {
        let text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n--- /etc/passwd\n+++ ../x\n";
        assert_eq!(faults(text), Vec::<String>::new());
    }

    #[test]
    fn a_patch_needs_its_first_line_and_its_last_line_end() {
        assert_eq!(faults("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b").len(), 2);
    }
}
