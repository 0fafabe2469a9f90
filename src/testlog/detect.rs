//! How a repository runs its own tests, found from its files: what it declares, then what its tests
//! look like.

use crate::artifact::{LogFormat, TestCommand};

/// A test command and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The command, to which test files are appended.
    pub command: TestCommand,
    /// The file that says so, and what it says, for people.
    pub because: String,
}

/// Test files looked at where nothing is declared.
const LOOKED_AT: usize = 20;

/// A test file becomes the dotted label that Django's runner takes, seen from the directory of
/// `manage.py`, which follows as the next word.
const DJANGO_PROJECT: &str = "bash -c 'labels=(); for file in \"$@\"; do file=${file%.py}; \
                              file=${file#\"$0\"/}; labels+=(\"${file//\\//.}\"); done; \
                              cd \"$0\" && python manage.py test -v 2 \"${labels[@]}\"'";

/// The test command of a repository with these files, paths sorted; `read` gives a file's text.
///
/// In this order: Django's and SymPy's own runners; a declared pytest configuration; `manage.py`; the
/// commands of tox, nox, Makefile and `setup.py`-style declarations; a dependency on pytest; test
/// files that import pytest, hold test functions, or `unittest` classes.
#[must_use]
pub fn detect(paths: &[String], read: &dyn Fn(&str) -> Option<String>) -> Option<Detected> {
    let exists = |path: &str| paths.binary_search_by(|known| known.as_str().cmp(path)).is_ok();
    let text = |path: &str| if exists(path) { read(path) } else { None };
    let found = |command: &str, log_format, because: String| {
        let command = TestCommand { command: command.to_owned(), log_format };
        Some(Detected { command, because })
    };
    let of = |runner: Runner, because: String| found(runner.command(), runner.format(), because);

    if exists("tests/runtests.py") && exists("django/__init__.py") {
        let command = "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1";
        return found(
            command,
            LogFormat::Django,
            "tests/runtests.py is Django's runner".to_owned(),
        );
    }
    if exists("bin/test") && exists("sympy/__init__.py") {
        let command = "bin/test -C --verbose";
        return found(command, LogFormat::Sympy, "bin/test is SymPy's runner".to_owned());
    }
    for (file, section) in [
        ("pytest.ini", "[pytest]"),
        (".pytest.ini", "[pytest]"),
        ("pyproject.toml", "[tool.pytest.ini_options]"),
        ("pyproject.toml", "[tool.pytest]"),
        ("tox.ini", "[pytest]"),
        ("setup.cfg", "[tool:pytest]"),
    ] {
        if text(file).is_some_and(|text| text.lines().any(|line| line.trim() == section)) {
            return of(Runner::Pytest, format!("{file} has {section}"));
        }
    }
    if let Some(path) =
        manage_py(paths).filter(|path| text(path).is_some_and(|t| t.contains("django")))
    {
        let dir = path.rsplit_once('/').map_or(".", |(dir, _)| dir);
        let command = format!("{DJANGO_PROJECT} {dir}");
        return found(&command, LogFormat::Unittest, format!("{path} is a Django project's"));
    }
    for file in ["tox.ini", "noxfile.py", "Makefile", "makefile", "GNUmakefile", "justfile"] {
        if let Some((runner, line)) = text(file).as_deref().and_then(declared) {
            return of(runner, format!("{file} says `{line}`"));
        }
    }
    for file in dependency_files(paths) {
        let names_pytest = |line: &str| {
            let line = line.split('#').next().unwrap_or_default();
            let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
            words.into_iter().any(|word| word == "pytest")
        };
        if read(file).is_some_and(|text| text.lines().any(names_pytest)) {
            return of(Runner::Pytest, format!("{file} names pytest"));
        }
    }
    let tests = paths.iter().filter(|path| is_test_file(path)).take(LOOKED_AT);
    let mut unittest = None;
    for path in tests {
        let Some(text) = read(path) else { continue };
        let imports = |name: &str| {
            text.lines().any(|line| {
                line.strip_prefix("import ")
                    .or_else(|| line.strip_prefix("from "))
                    .is_some_and(|rest| rest.split([' ', ',', '.']).any(|word| word == name))
            })
        };
        let bare = text.lines().any(|line| line.starts_with("def test"));
        if bare || imports("pytest") {
            return of(Runner::Pytest, format!("{path} holds tests for pytest"));
        }
        if imports("unittest") {
            unittest = unittest.or(Some(path));
        }
    }
    unittest.and_then(|path| of(Runner::Unittest, format!("{path} uses unittest")))
}

/// The `manage.py` nearest to the root, at most two directories below it; none where two of them are
/// equally near, or where bash would read its directory as more than a word.
fn manage_py(paths: &[String]) -> Option<&str> {
    let depth = |path: &str| path.matches('/').count();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let all = || {
        paths.iter().map(String::as_str).filter(|path| {
            (*path == "manage.py" || path.ends_with("/manage.py")) && depth(path) <= 2
        })
    };
    let nearest = all().min_by_key(|path| depth(path))?;
    let alone = all().filter(|path| depth(path) == depth(nearest)).count() == 1;
    (alone && nearest.chars().all(plain)).then_some(nearest)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runner {
    Pytest,
    Unittest,
}

impl Runner {
    fn command(self) -> &'static str {
        match self {
            Self::Pytest => "python -m pytest -rA",
            Self::Unittest => "python -m unittest -v",
        }
    }

    fn format(self) -> LogFormat {
        match self {
            Self::Pytest => LogFormat::Pytest,
            Self::Unittest => LogFormat::Unittest,
        }
    }
}

/// The first line of a task file that runs tests.
fn declared(text: &str) -> Option<(Runner, &str)> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).find_map(|line| {
        let words: Vec<&str> = line
            .split(|c: char| !(c.is_ascii_alphanumeric() || "._-".contains(c)))
            .filter(|word| !word.is_empty())
            .collect();
        let runs = |name: &str| {
            // A dependency such as `pytest>=7` or `pytest-cov` is no command.
            let at = words.iter().position(|word| *word == name);
            at.is_some_and(|at| {
                line.contains("-m") || line.contains("run") || line.contains("commands") || at == 0
            })
        };
        if (runs("pytest") || runs("py.test")) && !line.contains(['<', '>', '~']) {
            Some((Runner::Pytest, line))
        } else if words.windows(2).any(|pair| pair == ["-m", "unittest"])
            || line.contains("\"-m\", \"unittest\"")
        {
            Some((Runner::Unittest, line))
        } else {
            None
        }
    })
}

/// Files at the root that may name a dependency on pytest.
fn dependency_files(paths: &[String]) -> impl Iterator<Item = &String> {
    paths.iter().filter(|path| {
        let requirements = path.contains("requirements") && path.ends_with(".txt");
        let root = !path.contains('/');
        (root
            && ["pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "Pipfile"]
                .contains(&&***path))
            || (requirements && path.matches('/').count() <= 1)
    })
}

/// Whether a path looks like a file of tests, by its name.
#[must_use]
pub fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some(stem) = name.strip_suffix(".py") else { return false };
    stem.starts_with("test_")
        || stem.starts_with("unittest_")
        || stem.ends_with("_test")
        || stem.ends_with("_tests")
        || stem == "tests"
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn detected(files: &[(&str, &str)]) -> Option<(String, LogFormat, String)> {
        let files: BTreeMap<&str, &str> = files.iter().copied().collect();
        let paths: Vec<String> = files.keys().map(|&path| path.to_owned()).collect();
        let found = detect(&paths, &|path| files.get(path).map(|&text| text.to_owned()))?;
        Some((found.command.command, found.command.log_format, found.because))
    }

    #[track_caller]
    fn finds(files: &[(&str, &str)], command: &str, because: &str) {
        let (found, _, reason) = detected(files).unwrap();
        assert!(found.starts_with(command), "{found}");
        assert!(reason.contains(because), "{reason}");
    }

    #[test]
    fn what_is_declared_comes_before_what_tests_look_like() {
        let unittests = ("tests/test_a.py", "import unittest\n");
        let pytest = "python -m pytest -rA";
        for (file, text) in [
            ("pyproject.toml", "[tool.pytest.ini_options]\naddopts = \"-q\"\n"),
            ("setup.cfg", "[metadata]\n[tool:pytest]\n"),
            ("tox.ini", "[tox]\n[pytest]\n"),
            ("pytest.ini", "[pytest]\n"),
            ("tox.ini", "[testenv]\ncommands =\n    pytest {posargs}\n"),
            ("noxfile.py", "def tests(session):\n    session.run(\"pytest\", *session.posargs)\n"),
            ("Makefile", "test:\n\tpython -m pytest tests\n"),
            ("requirements-dev.txt", "flake8\npytest>=7  # tests\n"),
            ("pyproject.toml", "[project.optional-dependencies]\ntest = [\"pytest>=7\"]\n"),
        ] {
            finds(&[(file, text), unittests], pytest, file);
        }
        finds(
            &[("Makefile", "check:\n\tpython3 -m unittest discover\n")],
            "python -m unittest -v",
            "unittest discover",
        );
        finds(
            &[("setup.cfg", "[metadata]\n"), unittests],
            "python -m unittest -v",
            "tests/test_a.py",
        );
        finds(
            &[("tests/test_a.py", "def test_x():\n    pass\n")],
            pytest,
            "holds tests for pytest",
        );
        finds(
            &[("requirements.txt", "pytest-runner\n"), unittests],
            "python -m unittest",
            "unittest",
        );
        finds(
            &[("tox.ini", "[testenv]\ndeps =\n    pytest>=7\n"), unittests],
            pytest,
            "names pytest",
        );
        assert_eq!(detected(&[("a.py", "import pytest\n"), ("README.md", "pytest\n")]), None);
    }

    #[test]
    fn projects_with_runners_of_their_own() {
        let django = [("django/__init__.py", ""), ("tests/runtests.py", ""), ("setup.cfg", "")];
        assert_eq!(detected(&django).unwrap().1, LogFormat::Django);
        let sympy = [("bin/test", ""), ("sympy/__init__.py", "")];
        assert_eq!(detected(&sympy).unwrap().1, LogFormat::Sympy);
        let manage = "from django.core.management import execute_from_command_line\n";
        let tests = ("app/tests.py", "from django.test import TestCase\nimport unittest\n");
        for (path, dir) in [("manage.py", " ."), ("backend/site/manage.py", " backend/site")] {
            let (command, format, because) = detected(&[tests, (path, manage)]).unwrap();
            assert!(command.contains("manage.py test") && command.ends_with(dir), "{command}");
            assert_eq!(format, LogFormat::Unittest);
            assert!(because.starts_with(path), "{because}");
        }
        for others in [
            &[("a/manage.py", manage), ("b/manage.py", manage)][..],
            &[("a/b/c/manage.py", manage)],
            &[("a b/manage.py", manage)],
            &[("manage.py", "print('no framework')\n")],
        ] {
            let files = [others, &[tests]].concat();
            assert_eq!(detected(&files).unwrap().0, "python -m unittest -v", "{others:?}");
        }
    }

    /// The command as bash runs it, with a `python` that prints its arguments.
    #[test]
    fn files_of_a_django_project_become_labels() {
        let place = tempfile::tempdir().unwrap();
        let script = place.path().join("python");
        std::fs::write(&script, "#!/bin/sh\necho \"$@\"\n").unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", place.path().display(), std::env::var("PATH").unwrap());
        std::fs::create_dir(place.path().join("backend")).unwrap();
        for (dir, files) in [
            (".", "app/tests.py shop/tests/test_cart.py"),
            ("backend", "backend/app/tests.py backend/shop/tests/test_cart.py"),
        ] {
            let said = std::process::Command::new("bash")
                .args(["-c", &format!("{DJANGO_PROJECT} {dir} {files}")])
                .env("PATH", &path)
                .current_dir(place.path())
                .output()
                .unwrap();
            let said = String::from_utf8(said.stdout).unwrap();
            assert_eq!(said, "manage.py test -v 2 app.tests shop.tests.test_cart\n");
        }
    }
}
