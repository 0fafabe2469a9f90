//! The packages whose consecutive releases are instances: `evaluation/packages/`, compiled in.

use serde::Deserialize;

use crate::artifact::{InstanceId, LogFormat};

/// The table.
const TABLE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/evaluation/packages/packages.json"));

macro_rules! issues {
    ($($id:literal),* $(,)?) => {
        [$((
            $id,
            include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"), "/evaluation/packages/", $id, "/issue.md"
            )),
        )),*]
    };
}

/// The issue texts by instance.
const ISSUES: [(&str, &str); 8] = issues![
    "pyflakes__pyflakes-3.0.1",
    "pathspec__pathspec-0.12.1",
    "marshmallow__marshmallow-3.21.1",
    "typeguard__typeguard-4.1.1",
    "typeguard__typeguard-4.1.2",
    "pyjwt__pyjwt-2.10.1",
    "python-dotenv__python-dotenv-0.19.2",
    "tomlkit__tomlkit-0.12.2",
];

/// A pair of releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The instance made of it.
    pub instance_id: InstanceId,
    /// Name on the package index.
    pub package: String,
    /// Version of the older release, the base.
    pub base: String,
    /// Version of the newer release, which holds the fix.
    pub fix: String,
    /// Python version of the environment, such as `3.11`.
    pub python: String,
    /// pip requirements of the environment, the package's own among them.
    pub requirements: Vec<String>,
    /// Shell command that installs the tree without network.
    pub install: String,
    /// Shell command that runs test files.
    pub test_command: String,
    /// How its output is read.
    pub log_format: LogFormat,
    /// SWE-bench's name for that.
    pub log_parser: String,
    /// Prefixes of the paths of tests.
    pub tests: Vec<String>,
    /// Tests known to start passing with the fix: a check on what is measured.
    pub fail_to_pass: Vec<String>,
    /// Our own issue text.
    pub issue: &'static str,
}

impl Package {
    /// `owner/name`: the instance's id without its number.
    #[must_use]
    pub fn repo(&self) -> String {
        let id = self.instance_id.as_str();
        id.rsplit_once('-').map_or(id, |(repo, _)| repo).replacen("__", "/", 1)
    }

    /// Name of the image.
    #[must_use]
    pub fn image(&self) -> String {
        let id = self.instance_id.as_str().to_ascii_lowercase().replace('+', "_");
        format!("agent/packages/{id}:latest")
    }
}

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is not in its format.
    #[error("the table of packages is malformed")]
    Json(#[from] serde_json::Error),
    /// An instance without an issue.
    #[error("package {0} has no issue text")]
    NoIssue(InstanceId),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    defaults: Defaults,
    packages: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    python: String,
    test_command: String,
    log_format: LogFormat,
    log_parser: String,
    requirements: Vec<String>,
    install: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    instance_id: InstanceId,
    package: String,
    base: String,
    fix: String,
    #[serde(default)]
    requirements: Vec<String>,
    install: Option<String>,
    tests: Vec<String>,
    fail_to_pass: Vec<String>,
}

/// All packages, in the table's order.
///
/// # Errors
/// [`TableError`]; the table is compiled in, so only a changed table can be wrong.
pub fn table() -> Result<Vec<Package>, TableError> {
    let Table { defaults, packages } = serde_json::from_str(TABLE)?;
    packages
        .into_iter()
        .map(|entry| {
            let issue = ISSUES
                .iter()
                .find(|(id, _)| *id == entry.instance_id.as_str())
                .map(|(_, text)| *text)
                .ok_or_else(|| TableError::NoIssue(entry.instance_id.clone()))?;
            Ok(Package {
                requirements: [defaults.requirements.clone(), entry.requirements].concat(),
                install: entry.install.unwrap_or_else(|| defaults.install.clone()),
                python: defaults.python.clone(),
                test_command: defaults.test_command.clone(),
                log_format: defaults.log_format,
                log_parser: defaults.log_parser.clone(),
                instance_id: entry.instance_id,
                package: entry.package,
                base: entry.base,
                fix: entry.fix,
                tests: entry.tests,
                fail_to_pass: entry.fail_to_pass,
                issue,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_is_complete_and_its_names_are_usable() {
        let table = table().unwrap();
        assert_eq!(table.len(), ISSUES.len());
        for package in &table {
            let id = &package.instance_id;
            assert!(id.as_str().ends_with(&format!("-{}", package.fix)), "{id}");
            assert_ne!(package.base, package.fix);
            assert_eq!(package.repo().split('/').count(), 2, "{id}");
            assert!(package.requirements.iter().all(|r| r.contains("==")), "{id}: pinned");
            assert!(!package.fail_to_pass.is_empty() && !package.tests.is_empty());
            assert_eq!(LogFormat::from_parser(&package.log_parser), Some(package.log_format));
        }
        let dotenv = table.iter().find(|p| p.package == "python-dotenv").unwrap();
        assert_eq!(dotenv.repo(), "python-dotenv/python-dotenv");
        assert_eq!(dotenv.image(), "agent/packages/python-dotenv__python-dotenv-0.19.2:latest");
    }

    #[test]
    fn every_instance_has_scripts_of_both_kinds_that_know_the_sentinels() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("evaluation/packages");
        for package in table().unwrap() {
            let dir = root.join(package.instance_id.as_str()).join("scripts");
            let mut kinds = [0, 0];
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                kinds[usize::from(name.starts_with("bad"))] += 1;
                let text = std::fs::read_to_string(&path).unwrap();
                for sentinel in ["Issue reproduced", "Issue resolved"] {
                    assert!(text.contains(sentinel), "{}: {sentinel}", path.display());
                }
            }
            assert!(kinds[0] >= 2 && kinds[1] >= 1, "{}: {kinds:?}", package.instance_id);
        }
    }

    #[test]
    fn an_issue_names_no_test_and_no_fixed_release() {
        for package in table().unwrap() {
            assert!(!package.issue.contains(&package.fix), "{}", package.instance_id);
            for test in &package.fail_to_pass {
                let name = test.rsplit("::").next().unwrap().split('[').next().unwrap();
                assert!(!package.issue.contains(name), "{}", package.instance_id);
            }
        }
    }
}
