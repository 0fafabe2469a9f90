//! What the HTTP client must know, and the address that follows from it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use serde_json::{Map, Value};

use crate::budget::Budget;
use crate::llm::{ModelError, Secret};

/// Fields of the request body that the client itself decides.
const RESERVED: [&str; 6] = ["messages", "model", "n", "seed", "stream", "stop"];

/// Whether answers are asked for as streams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Streaming {
    /// Not, until the server wants it or a gateway's time limit ends whole answers (504, 524).
    #[default]
    Auto,
    /// Always, unless the server refuses.
    On,
    /// Never.
    Off,
}

/// Settings of [`crate::llm::HttpClient`].
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The endpoint, such as `http://localhost:8000/v1`. Without a version segment (`/v1`, `/v4`,
    /// `/v1beta`) in its path, `/v1` is added; a trailing slash or `/chat/completions` is taken off.
    pub base_url: String,
    /// Sent as bearer token. Local servers need none.
    pub api_key: Option<Secret>,
    /// The model's name. None asks the server, which must then offer exactly one.
    pub model: Option<String>,
    /// Longest time from sending a request to the end of its answer. Default 600 s.
    pub timeout: Duration,
    /// Longest time to connect. Default 10 s.
    pub connect_timeout: Duration,
    /// How often one request is sent at most. Default 6.
    pub max_attempts: u32,
    /// Wait before the second attempt; it doubles with each further one. Default 1 s.
    pub first_wait: Duration,
    /// Longest wait between two attempts, also if the server's `Retry-After` asks for more; all
    /// requests wait then. Default 60 s.
    pub max_wait: Duration,
    /// Samples asked for in one request: 1 sends single requests side by side, more uses `n`.
    /// Default 1.
    pub n_per_request: u32,
    /// Requests under way at the same time at most, over all instances. Default 16.
    pub concurrency: usize,
    /// Whether fewer are sent while the server refuses, fails or becomes slow. Default true.
    pub adaptive_concurrency: bool,
    /// Tokens and time that may be spent. Default no limit.
    pub budget: Arc<Budget>,
    /// Requests sent at most, repeated ones included. Default none.
    pub max_requests: Option<u64>,
    /// Further fields of the request body, such as `chat_template_kwargs`. They win over the
    /// client's own; null takes a field out (`max_tokens`, where only `max_completion_tokens` is
    /// allowed).
    pub extra_body: Map<String, Value>,
    /// Whether answers are asked for as streams. Default [`Streaming::Auto`].
    pub stream: Streaming,
    /// A `tokenizer.json` to count tokens with where the server does not say them; none estimates.
    pub tokenizer: Option<PathBuf>,
}

impl HttpConfig {
    /// The defaults for the endpoint `base_url`.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key: None,
            model: None,
            timeout: Duration::from_secs(600),
            connect_timeout: Duration::from_secs(10),
            max_attempts: 6,
            first_wait: Duration::from_secs(1),
            max_wait: Duration::from_secs(60),
            n_per_request: 1,
            concurrency: 16,
            adaptive_concurrency: true,
            budget: Arc::new(Budget::unlimited()),
            max_requests: None,
            extra_body: Map::new(),
            stream: Streaming::Auto,
            tokenizer: None,
        }
    }

    /// Checks what no single field's type can rule out.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let positive = [
            ("max_attempts", self.max_attempts > 0),
            ("n_per_request", self.n_per_request > 0),
            ("concurrency", self.concurrency > 0),
            ("timeout", !self.timeout.is_zero()),
        ];
        if let Some((name, _)) = positive.into_iter().find(|(_, holds)| !holds) {
            return Err(ModelError::Config { detail: format!("{name} must be more than 0") });
        }
        match RESERVED.into_iter().find(|&name| self.extra_body.contains_key(name)) {
            Some(name) => Err(ModelError::Config {
                detail: format!(
                    "extra_body may not hold `{name}`, which the client decides itself"
                ),
            }),
            None => Ok(()),
        }
    }
}

/// The endpoint's base address.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    base: Url,
}

impl Endpoint {
    /// Reads `base_url` as [`HttpConfig::base_url`] says.
    pub(super) fn parse(base_url: &str) -> Result<Self, ModelError> {
        let text = base_url.trim();
        let bad = |why: &str| ModelError::Config {
            // The text may hold a password, so it is not repeated.
            detail: format!("the base URL {why}; expected something like http://localhost:8000/v1"),
        };
        if text.is_empty() {
            return Err(bad("is empty"));
        }
        let mut base = Url::parse(text).map_err(|error| bad(&format!("is no URL ({error})")))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(bad("does not begin with http:// or https:// and a host"));
        }
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/chat/completions").unwrap_or(path).trim_end_matches('/');
        let versioned = path.split('/').any(is_version);
        let path = if versioned { path.to_owned() } else { format!("{path}/v1") };
        base.set_path(&path);
        base.set_fragment(None);
        Ok(Self { base })
    }

    /// The address of `tail`, such as `chat/completions`; a query of the base stays.
    pub(super) fn join(&self, tail: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{tail}", self.base.path()));
        url
    }

    /// The address beside the base's version segment: what no version has, such as `/health`.
    pub(super) fn beside(&self, tail: &str) -> Url {
        let mut url = self.base.clone();
        let path = self.base.path().trim_end_matches('/');
        let above = path.rsplit_once('/').filter(|(_, last)| is_version(last));
        url.set_path(&format!("{}/{tail}", above.map_or(path, |(above, _)| above)));
        url
    }

    /// Whether it is asked without encryption.
    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Whether the host is this machine, which no proxy can reach.
    pub(super) fn is_local(&self) -> bool {
        let host = self.base.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// `url` as it may be shown: user, password and query can hold keys.
pub(super) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn is_version(segment: &str) -> bool {
    let mut chars = segment.chars();
    chars.next() == Some('v') && chars.next().is_some_and(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_with_and_without_version_lead_to_the_same_place() {
        let chat = |base: &str| Endpoint::parse(base).unwrap().join("chat/completions").to_string();
        for base in [
            "http://h:8000",
            "http://h:8000/",
            "http://h:8000/v1",
            "http://h:8000/v1/",
            " http://h:8000/v1/chat/completions\n",
        ] {
            assert_eq!(chat(base), "http://h:8000/v1/chat/completions", "{base:?}");
        }
        assert_eq!(chat("https://h/api/v4"), "https://h/api/v4/chat/completions");
        assert_eq!(chat("https://h/v1beta/openai/"), "https://h/v1beta/openai/chat/completions");
        assert_eq!(chat("https://h/llm"), "https://h/llm/v1/chat/completions");
        let beside = |base: &str| Endpoint::parse(base).unwrap().beside("version").to_string();
        assert_eq!(beside("http://h:8000"), "http://h:8000/version");
        assert_eq!(beside("https://h/llm/v1/"), "https://h/llm/version");
        assert_eq!(beside("https://h/v1beta/openai"), "https://h/v1beta/openai/version");
        assert_eq!(chat("https://h/v1?a=b"), "https://h/v1/chat/completions?a=b");
    }

    #[test]
    fn what_is_no_address_is_refused_without_showing_it() {
        for base in ["", "  ", "localhost:8000", "h/v1", "ftp://h/v1", "http://", "http://u:pw@"] {
            let error = Endpoint::parse(base).unwrap_err().to_string();
            assert!(error.contains("http://localhost:8000/v1"), "{error}");
            assert!(!error.contains("pw"), "{error}");
        }
    }

    #[test]
    fn shown_addresses_hold_no_secrets() {
        let endpoint = Endpoint::parse("http://user:pw@h:81/v1?key=k").unwrap();
        assert_eq!(shown(&endpoint.join("models")), "http://h:81/v1/models");
    }

    #[test]
    fn loopback_is_local() {
        for (base, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.1", true),
            ("http://127.1.2.3", true),
            ("http://[::1]:8000/v1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(Endpoint::parse(base).unwrap().is_local(), local, "{base}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        let config = HttpConfig { n_per_request: 0, ..HttpConfig::new("http://h") };
        assert!(config.check().unwrap_err().to_string().contains("n_per_request"));
        let mut config = HttpConfig::new("http://h");
        config.extra_body.insert("n".into(), 2.into());
        assert!(config.check().unwrap_err().to_string().contains("`n`"));
    }
}
