//! An instance made from one's own repository and an issue text.

use crate::artifact::{Instance, InstanceId, InvalidId, TestCommand};
use crate::dataset::load::sha256_hex;

/// Longest part of a label that goes into an id.
const LABEL_LENGTH: usize = 100;

/// What an instance of one's own is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnIssue<'a> {
    /// Title and body.
    pub issue: &'a str,
    /// `owner/name`, or the last component of the repository's path.
    pub repo: &'a str,
    /// Full id of the commit to work on.
    pub base_commit: &'a str,
    /// Image with the repository in `/testbed`, if there is one.
    pub image: Option<String>,
    /// How the repository's tests are run, if known.
    pub test_command: Option<TestCommand>,
    /// Shell command that installs the repository, if one is needed.
    pub install: Option<String>,
}

/// Why no instance can be made.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// Nothing to solve.
    #[error("the issue is empty: there is nothing to solve")]
    BlankIssue,
    /// Not a commit id.
    #[error("{0:?} is not a full commit id of 40 hexadecimal digits")]
    BaseCommit(String),
    /// The label gives no usable id.
    #[error("cannot name the instance")]
    Id(#[from] InvalidId),
}

/// Makes the instance. Its id is the label and eight digits of the issue's SHA-256, so the same
/// issue of the same repository gets the same id again.
///
/// # Errors
/// [`OwnError`] for a blank issue or an abbreviated commit id.
pub fn own(own: OwnIssue<'_>) -> Result<Instance, OwnError> {
    if own.issue.trim().is_empty() {
        return Err(OwnError::BlankIssue);
    }
    let commit = own.base_commit;
    if commit.len() != 40 || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(OwnError::BaseCommit(commit.to_owned()));
    }
    let digest = sha256_hex(own.issue.as_bytes());
    let id = InstanceId::new(format!("{}-{}", label(own.repo), &digest[..8]))?;
    Ok(Instance {
        id,
        repo: own.repo.to_owned(),
        base_commit: commit.to_ascii_lowercase(),
        problem_statement: own.issue.to_owned(),
        image: own.image,
        test_command: own.test_command,
        install: own.install,
    })
}

/// `repo` in characters that an id may hold: `owner__name`.
fn label(repo: &str) -> String {
    let repo = repo.trim_matches('/').replace('/', "__");
    let label: String = repo
        .trim_start_matches('.')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '-' })
        .take(LABEL_LENGTH)
        .collect();
    if label.is_empty() { "repo".to_owned() } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(issue: &str, repo: &str) -> Result<Instance, OwnError> {
        own(OwnIssue {
            issue,
            repo,
            base_commit: "0123456789ABCDEF0123456789abcdef01234567",
            image: None,
            test_command: None,
            install: None,
        })
    }

    #[test]
    fn the_id_is_stable_and_safe_whatever_the_path_is_called() {
        let first = made("it crashes\r\nbadly", "pallets/flask").unwrap();
        assert!(first.id.as_str().starts_with("pallets__flask-"), "{}", first.id);
        assert_eq!(first.problem_statement, "it crashes\r\nbadly");
        assert_eq!(first.base_commit, "0123456789abcdef0123456789abcdef01234567");
        assert_eq!(first.id, made("it crashes\r\nbadly", "pallets/flask").unwrap().id);
        assert_ne!(first.id, made("it hangs", "pallets/flask").unwrap().id);
        for odd in ["..", "", "/", "mein Projekt (alt)", "Ωmega", ".dotfiles", &"x".repeat(500)] {
            made("it crashes", odd).unwrap();
        }
    }

    #[test]
    fn blank_issues_and_short_commits_are_refused_and_long_issues_are_not() {
        assert!(matches!(made(" \n\t", "a"), Err(OwnError::BlankIssue)));
        assert!(made(&"long ".repeat(1 << 18), "a").is_ok());
        let short = OwnIssue {
            issue: "x",
            repo: "a",
            base_commit: "0123abc",
            image: None,
            test_command: None,
            install: None,
        };
        assert!(matches!(own(short), Err(OwnError::BaseCommit(_))));
    }
}
