//! Which paths a diff names, read as widely as any tool that applies it might.

/// Whether any header of the diff names something inside a `.git` folder. `git apply` refuses
/// such paths, GNU `patch` writes them, and git then runs what lies there.
pub(super) fn names_git_folder(patch: &str) -> bool {
    const HEADERS: [&str; 10] = [
        "--- ", "+++ ", "*** ", "Index:", "Prereq:", "diff ", "rename ", "copy ", "Only in", "====",
    ];
    patch
        .lines()
        .map(str::trim_start)
        .filter(|line| HEADERS.iter().any(|header| line.starts_with(header)))
        .any(|line| {
            unquoted(line)
                .split(['/', '\\', ' ', '\t', '"', ':'])
                .any(|component| component.eq_ignore_ascii_case(".git"))
        })
}

/// The files that a git diff touches, old and new names, each once and in order.
pub(super) fn touched(patch: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    let mut add = |path: &str| {
        if !path.is_empty() && !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
    };
    for line in patch.lines().filter(|line| line.starts_with("diff --git ")) {
        let line = unquoted(line).replace('"', "");
        let names = &line["diff --git ".len()..];
        if let Some((old, new)) = names.rsplit_once(" b/") {
            add(old.strip_prefix("a/").unwrap_or(old));
            add(new);
        }
    }
    paths
}

/// The text with git's escapes (`\t`, `\"`, `\\`, three octal digits) resolved.
fn unquoted(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            [escaped, after @ ..] => {
                bytes.push(match escaped {
                    b't' => b'\t',
                    b'n' => b'\n',
                    other => *other,
                });
                rest = after;
            }
            [] => bytes.push(b'\\'),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_folders_are_seen_in_every_spelling() {
        for header in [
            "+++ b/.git/hooks/post-checkout",
            "+++ .git/config",
            "--- a/sub/.GIT/config\t2024-01-01",
            "+++ \"b/.g\\151t/hooks/x\"",
            "Index: .git/hooks/x",
            "*** .git/hooks/x",
            "rename to .git/config",
            "diff --git a/.git/x b/.git/x",
            "  +++ b/.git/x",
        ] {
            let patch = format!("{header}\n@@ -0,0 +1 @@\n+x\n");
            assert!(names_git_folder(&patch), "{header}");
        }
        let harmless = "diff --git a/.gitignore b/.gitignore\n--- a/.gitignore\n+++ b/.gitignore\n\
                        @@ -1 +1 @@\n-x\n+see .git/config\n";
        assert!(!names_git_folder(harmless));
    }

    #[test]
    fn touched_files_are_old_and_new_names() {
        let patch = "diff --git a/t/a.py b/t/a.py\ndiff --git a/old b.py b/new b.py\n\
                     diff --git \"a/t/\\303\\244.py\" \"b/t/\\303\\244.py\"\n+diff --git a/x b/x\n";
        assert_eq!(touched(patch), ["t/a.py", "old b.py", "new b.py", "t/ä.py"]);
    }
}
