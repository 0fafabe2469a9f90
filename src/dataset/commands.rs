//! How the tests of the benchmark's repositories are run, without looking at gold data.

use crate::artifact::{LogFormat, TestCommand};

/// `(repository, log parser, command)`: the commands of SWE-bench's evaluation scripts.
const COMMANDS: [(&str, &str, &str); 12] = [
    ("astropy/astropy", "parse_log_astropy", "pytest -rA"),
    (
        "django/django",
        "parse_log_django",
        "./tests/runtests.py --verbosity 2 --settings=test_sqlite --parallel 1",
    ),
    ("matplotlib/matplotlib", "parse_log_matplotlib", "pytest -rA"),
    ("mwaskom/seaborn", "parse_log_seaborn", "pytest --no-header -rA"),
    ("pallets/flask", "parse_log_flask", "pytest -rA"),
    ("psf/requests", "parse_log_requests", "pytest -rA"),
    ("pydata/xarray", "parse_log_xarray", "pytest -rA"),
    ("pylint-dev/pylint", "parse_log_pylint", "pytest -rA"),
    ("pytest-dev/pytest", "parse_log_pytest", "pytest -rA"),
    ("scikit-learn/scikit-learn", "parse_log_scikit", "pytest -rA"),
    ("sphinx-doc/sphinx", "parse_log_sphinx", "tox --current-env -epy39 -v --"),
    (
        "sympy/sympy",
        "parse_log_sympy",
        "PYTHONWARNINGS='ignore::UserWarning,ignore::SyntaxWarning' bin/test -C --verbose",
    ),
];

/// Whether official images of this repository exist.
#[must_use]
pub fn is_benchmark_repo(repo: &str) -> bool {
    COMMANDS.iter().any(|(name, ..)| *name == repo)
}

/// The test command of a repository: by its name, or for forks by the log parser's.
pub(super) fn test_command(
    repo: &str,
    version: &str,
    log_parser: Option<&str>,
) -> Option<TestCommand> {
    let (repo, parser, command) = COMMANDS
        .iter()
        .find(|(name, ..)| *name == repo)
        .or_else(|| COMMANDS.iter().find(|(_, parser, _)| Some(*parser) == log_parser))?;
    let command = match (*repo, version) {
        ("astropy/astropy", "1.3") => {
            "pytest -rA -vv -o console_output_style=classic --tb=no".to_owned()
        }
        // The old test suites read and print non-ASCII text and rely on the locale for it.
        ("django/django", old) if ["1", "2", "3"].contains(&major(old)) => {
            format!("LANG=en_US.UTF-8 LC_ALL=en_US.UTF-8 PYTHONIOENCODING=utf8 {command}")
        }
        _ => (*command).to_owned(),
    };
    let log_format = LogFormat::from_parser(parser)?;
    Some(TestCommand { command, log_format })
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_repository_of_the_table_has_a_readable_log() {
        for (repo, parser, command) in COMMANDS {
            let found = test_command(repo, "5.0", None).unwrap();
            assert!(found.command.ends_with(command));
            assert_eq!(test_command("someone/fork", "5.0", Some(parser)).unwrap(), found);
        }
        assert_eq!(test_command("someone/else", "1", Some("parse_log_jest")), None);
    }

    #[test]
    fn versions_that_differ_are_told_apart() {
        let astropy = |version| test_command("astropy/astropy", version, None).unwrap().command;
        assert_ne!(astropy("1.3"), astropy("3.0"));
        let django = |version| test_command("django/django", version, None).unwrap().command;
        assert!(django("3.2").starts_with("LANG=en_US.UTF-8"));
        assert!(django("4.0").starts_with("./tests/runtests.py"));
    }
}
