//! What is appended to a test command to run certain files: the benchmark's rule.

use crate::artifact::LogFormat;

/// Endings of files that are no tests. `csv` has no dot in the rule either.
const NO_TESTS: [&str; 11] =
    [".json", ".png", "csv", ".txt", ".md", ".jpg", ".jpeg", ".pkl", ".yml", ".yaml", ".toml"];

/// What a runner calls a test file: Django's wants a label, all others the path.
#[must_use]
pub fn of_path(format: LogFormat, path: &str) -> String {
    if format != LogFormat::Django {
        return path.to_owned();
    }
    let path = path.strip_suffix(".py").unwrap_or(path);
    path.strip_prefix("tests/").unwrap_or(path).replace('/', ".")
}

/// The directives of a test patch: its files in order, without those that are no tests.
#[must_use]
pub fn of_patch(format: LogFormat, test_patch: &str) -> Vec<String> {
    patched_paths(test_patch)
        .filter(|path| !NO_TESTS.iter().any(|ending| path.ends_with(ending)))
        .map(|path| of_path(format, path))
        .collect()
}

/// The new paths of a git diff, in order.
pub fn patched_paths(patch: &str) -> impl Iterator<Item = &str> {
    patch
        .lines()
        .filter_map(|line| line.strip_prefix("diff --git a/"))
        .filter_map(|names| names.rsplit_once(" b/").map(|(_, new)| new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_test_patch_become_what_the_runner_takes() {
        let patch = "diff --git a/tests/auth_tests/test_forms.py b/tests/auth_tests/test_forms.py\n\
                     --- a/tests/auth_tests/test_forms.py\n\
                     diff --git a/tests/data.json b/tests/data.json\n\
                     diff --git a/doc/x.rst b/doc/x.rst\n\
                     diff --git a/ordering/a b.py b/tests/ordering/a b.py\n";
        assert_eq!(
            of_patch(LogFormat::Django, patch),
            ["auth_tests.test_forms", "doc.x.rst", "ordering.a b"]
        );
        assert_eq!(
            of_patch(LogFormat::Pytest, patch),
            ["tests/auth_tests/test_forms.py", "doc/x.rst", "tests/ordering/a b.py"]
        );
    }
}
