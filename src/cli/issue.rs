//! The issue text of one's own repository: a file, standard input, or a GitHub issue.

use std::io::Read;
use std::time::Duration;

use serde::Deserialize;

use crate::cli::error::{CliError, Kind};

/// Reads the issue. Invalid UTF-8 is replaced; a blank issue is refused later, where the instance
/// is made.
pub(crate) async fn read(source: &str) -> Result<String, CliError> {
    if source == "-" {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .map_err(|error| CliError::from_error(Kind::Usage, error))?;
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    if source.starts_with("https://") || source.starts_with("http://") {
        return fetch(source).await;
    }
    let bytes = std::fs::read(source).map_err(|error| {
        CliError::usage(format!("cannot read the issue {source}: {error}"))
            .hint("--issue takes a file, - for standard input, or a GitHub issue's URL")
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Deserialize)]
struct Issue {
    title: String,
    body: Option<String>,
}

/// Asks GitHub's REST API (`GET /repos/{owner}/{repo}/issues/{number}`); `GITHUB_API_URL` names
/// another server, as GitHub's own runners do, and `GITHUB_TOKEN` a token.
async fn fetch(url: &str) -> Result<String, CliError> {
    let Some((repo, number)) = parse(url) else {
        return Err(CliError::usage(format!("{url} is not the URL of a GitHub issue"))
            .hint("expected https://github.com/OWNER/REPO/issues/NUMBER; other trackers: save the text to a file"));
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let api = variable("GITHUB_API_URL").unwrap_or_else(|| "https://api.github.com".to_owned());
    let address = format!("{}/repos/{repo}/issues/{number}", api.trim_end_matches('/'));
    let unreachable = |error: reqwest::Error| {
        CliError::from_error(Kind::Environment, error)
            .hint("offline? save the issue's title and text to a file and give that to --issue")
    };
    crate::llm::install_crypto_provider();
    let client = reqwest::Client::builder()
        .user_agent(concat!("agent/", env!("CARGO_PKG_VERSION")))
        .timeout(Duration::from_secs(30))
        .build()
        .map_err(unreachable)?;
    let mut request = client.get(&address).header("accept", "application/vnd.github+json");
    if let Some(token) = variable("GITHUB_TOKEN") {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if !status.is_success() {
        let error = CliError::new(Kind::Environment, format!("{address} answered {status}"));
        return Err(match status.as_u16() {
            401 | 403 | 404 | 429 => {
                error.hint("private or rate-limited? set GITHUB_TOKEN to a token that may read it")
            }
            _ => error,
        });
    }
    let issue: Issue = response.json().await.map_err(unreachable)?;
    Ok(format!("{}\n\n{}\n", issue.title, issue.body.unwrap_or_default()))
}

/// `owner/repo` and the number.
fn parse(url: &str) -> Option<(String, u64)> {
    let path = url.split_once("://")?.1;
    let path = path.split(['?', '#']).next()?;
    let mut parts = path.split('/').skip(1);
    let (owner, repo) = (parts.next()?, parts.next()?);
    let kind = parts.next()?;
    let number = parts.next()?.parse().ok()?;
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    (plain(owner) && plain(repo) && matches!(kind, "issues" | "pull"))
        .then(|| (format!("{owner}/{repo}"), number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issue_urls_are_recognised() {
        let url = "https://github.com/psf/requests/issues/6028#issuecomment-1";
        assert_eq!(parse(url), Some(("psf/requests".into(), 6028)));
        for bad in ["https://github.com/psf/requests", "https://x.org/a/b/wiki/3", "ftp:/x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
