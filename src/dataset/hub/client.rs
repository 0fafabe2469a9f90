//! The two questions that are put to the hub: which files does a revision have, and what is in one?
//!
//! Spoken here and not through the crate `hf-hub`: its version 1.0 brings 76 crates, among them a
//! second TLS implementation and a storage system that cannot be left out, and it stores the body of
//! a refused download as the file.

use std::error::Error as _;
use std::io::Write as _;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, ETAG, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::dataset::hub::cache::{self, Cache};
use crate::dataset::hub::{Hub, HubError, HubName};
use crate::dataset::load::hex;
use crate::scratch;

/// Requests for one thing; only answers that may pass are asked for again.
const ATTEMPTS: u32 = 3;
/// Redirects to other hosts, which hold the files.
const HOPS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// Silence in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// Characters of a server's words that are shown.
const WORDS: usize = 300;

/// What the hub says of a revision.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    /// The commit.
    pub(super) sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Info {
    /// Paths of all files; those that would lead out of a folder are none.
    pub(super) fn paths(&self) -> Vec<String> {
        let paths = self.siblings.iter().map(|sibling| sibling.rfilename.clone());
        paths.filter(|path| cache::is_inside(path)).collect()
    }
}

/// Asks one hub.
pub(super) struct Client<'a> {
    hub: &'a Hub,
    name: &'a HubName,
    http: reqwest::Client,
}

impl<'a> Client<'a> {
    pub(super) fn new(hub: &'a Hub, name: &'a HubName) -> Result<Self, HubError> {
        // Fails if the process has a provider already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The hub's own answer says what a file is called; the storage behind it does not know.
        let policy = Policy::custom(|attempt| {
            let before = attempt.previous().last().and_then(Url::host_str);
            let same = before == attempt.url().host_str();
            if same && attempt.previous().len() < 10 { attempt.follow() } else { attempt.stop() }
        });
        let http = reqwest::Client::builder()
            .user_agent(concat!("agent/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(policy)
            .build();
        let client = |http| Self { hub, name, http };
        http.map(client).map_err(|error| unreachable(hub, name, &hub.endpoint, &error))
    }

    /// The commit and the files of the revision.
    pub(super) async fn info(&self) -> Result<Info, HubError> {
        let (id, revision) = (&self.name.id, encode(&self.name.revision));
        let url = format!("{}/api/datasets/{id}/revision/{revision}", self.hub.endpoint);
        let (_, response) = self.get(&url).await?;
        let text = response.bytes().await.map_err(|error| self.unreachable(&url, &error))?;
        let wrong = |problem: String| HubError::Answer { url: url.clone(), problem };
        let info: Info = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if !cache::is_commit(&info.sha) {
            return Err(wrong(format!("`sha` is {:?}, expected a commit", info.sha)));
        }
        Ok(info)
    }

    /// Fetches a file of a commit into the cache.
    pub(super) async fn fetch(
        &self,
        cache: &Cache,
        commit: &str,
        path: &str,
    ) -> Result<(), HubError> {
        let encoded: Vec<_> = path.split('/').map(encode).collect();
        let (id, path_in_url) = (&self.name.id, encoded.join("/"));
        let url = format!("{}/datasets/{id}/resolve/{commit}/{path_in_url}", self.hub.endpoint);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (headers, response) = self.get(&url).await?;
            let file = cache.fresh_blob()?;
            match self.receive(response, file, &url).await {
                Ok((file, digest)) => {
                    let etag = etag(&headers).unwrap_or_else(|| digest.clone());
                    if cache::is_sha256(&etag) && etag != digest {
                        let problem = format!("the SHA-256 of the content is {digest}, not {etag}");
                        return Err(HubError::Answer { url, problem });
                    }
                    cache.keep(file, &etag, commit, path)?;
                    return Ok(());
                }
                Err(error @ HubError::Io { .. }) => return Err(error),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => tokio::time::sleep(pause(attempt, None)).await,
            }
        }
    }

    /// Writes a body to a file and gives the body's SHA-256.
    async fn receive(
        &self,
        mut response: Response,
        mut file: scratch::File,
        url: &str,
    ) -> Result<(scratch::File, String), HubError> {
        let mut digest = Sha256::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    digest.update(&chunk);
                    file.write_all(&chunk).map_err(|source| HubError::Io {
                        action: "write to",
                        path: self.hub.cache.clone(),
                        source,
                    })?;
                }
                Ok(None) => return Ok((file, hex(&digest.finalize()))),
                Err(error) => return Err(self.unreachable(url, &error)),
            }
        }
    }

    /// The answer, and the headers of the hub's own answer where storage elsewhere gave the body.
    async fn get(&self, url: &str) -> Result<(HeaderMap, Response), HubError> {
        let first = self.ask(url, true).await?;
        let headers = first.headers().clone();
        let mut response = first;
        for _ in 0..HOPS {
            if !response.status().is_redirection() {
                return Ok((headers, response));
            }
            let answer = |problem: &str| HubError::Answer {
                url: url.to_owned(),
                problem: problem.to_owned(),
            };
            let place = response.headers().get(LOCATION).and_then(|place| place.to_str().ok());
            let place = place.and_then(|place| response.url().join(place).ok());
            let place = place.ok_or_else(|| answer("a redirect without a place"))?;
            // Other hosts never see the token.
            response = self.ask(place.as_str(), false).await?;
        }
        Err(HubError::Answer { url: url.to_owned(), problem: "too many redirects".to_owned() })
    }

    async fn ask(&self, url: &str, with_token: bool) -> Result<Response, HubError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            // Compressed content would have another digest than the one announced.
            let mut request = self.http.get(url).header(ACCEPT_ENCODING, "identity");
            if let Some(token) = self.hub.token().filter(|_| with_token) {
                request = request.bearer_auth(token);
            }
            let response = match request.send().await {
                Ok(response) => response,
                // A host that refuses or does not answer is not asked again: the cache may do.
                Err(error) if attempt == ATTEMPTS || error.is_connect() || error.is_timeout() => {
                    return Err(self.unreachable(url, &error));
                }
                Err(_) => {
                    tokio::time::sleep(pause(attempt, None)).await;
                    continue;
                }
            };
            let status = response.status();
            if status.is_success() || status.is_redirection() {
                return Ok(response);
            }
            if attempt == ATTEMPTS || !may_pass(status) {
                return Err(self.refused(url, response, with_token).await);
            }
            let wait = pause(attempt, response.headers().get(RETRY_AFTER));
            tokio::time::sleep(wait).await;
        }
    }

    async fn refused(&self, url: &str, response: Response, with_token: bool) -> HubError {
        let status = response.status();
        let header = |name| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let (code, words) = (header("x-error-code"), header("x-error-message"));
        let body = response.text().await.unwrap_or_default();
        let url = url.to_owned();
        let message: String = words
            .or_else(|| json_error(&body))
            .unwrap_or_else(|| status.canonical_reason().unwrap_or("no explanation").to_owned())
            .chars()
            .take(WORDS)
            .collect();
        let name = self.name;
        match (status.as_u16(), code.as_deref()) {
            (404, Some("RevisionNotFound")) => HubError::NotFound {
                url,
                what: format!("revision {} of {}", name.revision, name.id),
            },
            (404, Some("EntryNotFound")) => {
                HubError::NotFound { url, what: format!("such file in {}", name.id) }
            }
            (404, _) => HubError::NotFound { url, what: format!("dataset {}", name.id) },
            (401 | 403, _) => HubError::Denied {
                url,
                status: status.as_u16(),
                message,
                page: format!("{}/datasets/{}", self.hub.endpoint, name.id),
                with_token: with_token && self.hub.token().is_some(),
            },
            (status, _) => HubError::Status { url, status, message },
        }
    }

    fn unreachable(&self, url: &str, error: &reqwest::Error) -> HubError {
        unreachable(self.hub, self.name, url, error)
    }
}

fn unreachable(hub: &Hub, name: &HubName, url: &str, error: &reqwest::Error) -> HubError {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    HubError::Unreachable {
        url: url.to_owned(),
        wanted: Box::new(name.clone()),
        cache: hub.cache.clone(),
        cause: words,
    }
}

fn json_error(body: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    value.get("error")?.as_str().map(str::to_owned)
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 429)
}

/// How long to wait after an attempt that failed.
fn pause(attempt: u32, after: Option<&reqwest::header::HeaderValue>) -> Duration {
    let asked = after.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let seconds = asked.map(|seconds| seconds.min(20));
    seconds.map_or(Duration::from_millis(500) * attempt, Duration::from_secs)
}

/// The name of a file's blob. It becomes a file's name here, so only plain ones count.
fn etag(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-linked-etag").or_else(|| headers.get(ETAG))?.to_str().ok()?;
    let value = value.trim_start_matches("W/").trim_matches('"');
    let plain = !value.is_empty()
        && !value.starts_with('.')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    plain.then(|| value.to_owned())
}

/// One segment of a URL's path.
fn encode(segment: &str) -> String {
    segment
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
