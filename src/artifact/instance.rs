//! One issue to resolve. By construction it cannot carry gold patches, gold tests or hints.

use serde::{Deserialize, Serialize};

use crate::artifact::InstanceId;

/// What a solver may know of an issue.
///
/// There is no field for a gold patch, a test patch, test lists or hints: those live in
/// [`crate::dataset`], which no stage may import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unique within a dataset.
    pub id: InstanceId,
    /// `owner/name`, or a path's last component for one's own repository.
    pub repo: String,
    /// Full commit id (40 hexadecimal digits) that patches apply to.
    pub base_commit: String,
    /// Title and body of the issue, line ends as given.
    pub problem_statement: String,
    /// Name of the container image whose `/testbed` holds the repository, if the dataset has one.
    pub image: Option<String>,
    /// How the repository's own tests are run, where that is known.
    pub test_command: Option<TestCommand>,
    /// Shell command that installs the repository into its environment, for images made from the
    /// tree; absent when nothing needs installing.
    pub install: Option<String>,
}

/// How to run test files of a repository and read the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCommand {
    /// Shell command; test files (or labels) are appended to it.
    pub command: String,
    /// How its output is read.
    pub log_format: LogFormat,
}

/// Which log parser reads a test command's output (`crate::testlog`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// `pytest -rA`, plain rule (flask, xarray, pytest).
    Pytest,
    /// `pytest -rA` with shortened path options in ids (requests, pylint).
    PytestOptions,
    /// `pytest -rA`, second rule (astropy, scikit-learn, sphinx).
    PytestV2,
    /// matplotlib's variant of the plain rule.
    Matplotlib,
    /// seaborn's variant: failures and passes only.
    Seaborn,
    /// Django's runner at verbosity 2.
    Django,
    /// SymPy's `bin/test -C --verbose`.
    Sympy,
    /// `python -m unittest -v`.
    Unittest,
    /// JUnit's XML, which the command writes to the file that `$JUNIT_XML` names, or prints.
    Junit,
}

impl LogFormat {
    /// All formats.
    pub const ALL: [Self; 9] = [
        Self::Pytest,
        Self::PytestOptions,
        Self::PytestV2,
        Self::Matplotlib,
        Self::Seaborn,
        Self::Django,
        Self::Sympy,
        Self::Unittest,
        Self::Junit,
    ];

    /// The name used in files, as in a row's `log_format` column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pytest => "pytest",
            Self::PytestOptions => "pytest-options",
            Self::PytestV2 => "pytest-v2",
            Self::Matplotlib => "matplotlib",
            Self::Seaborn => "seaborn",
            Self::Django => "django",
            Self::Sympy => "sympy",
            Self::Unittest => "unittest",
            Self::Junit => "junit",
        }
    }

    /// The format that a name of ours stands for.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The names of all formats, for people.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The format that SWE-bench's name of a log parser (column `log_parser`) stands for. Parsers
    /// of other languages than Python have none.
    #[must_use]
    pub fn from_parser(parser: &str) -> Option<Self> {
        Some(match parser.strip_prefix("parse_log_")? {
            "pytest" | "astroid" | "flask" | "marshmallow" | "pvlib" | "pyvista" | "sqlfluff"
            | "xarray" => Self::Pytest,
            "pytest_options" | "pydicom" | "requests" | "pylint" => Self::PytestOptions,
            "pytest_v2" | "astropy" | "scikit" | "sphinx" => Self::PytestV2,
            "matplotlib" => Self::Matplotlib,
            "seaborn" => Self::Seaborn,
            "django" => Self::Django,
            "sympy" => Self::Sympy,
            "unittest" => Self::Unittest,
            "junit" => Self::Junit,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_serde_writes() {
        for format in LogFormat::ALL {
            let written = serde_json::to_value(format).unwrap();
            assert_eq!(written, format.name());
            assert_eq!(LogFormat::from_name(format.name()), Some(format));
        }
        assert_eq!(LogFormat::from_parser("parse_log_scikit"), Some(LogFormat::PytestV2));
        assert_eq!(LogFormat::from_parser("parse_log_jest"), None);
        assert_eq!(LogFormat::from_parser("pytest"), None);
    }
}
