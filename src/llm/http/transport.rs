//! One exchange with the server: send, read a bounded body, and say whether a failure may pass.

use std::error::Error as _;
use std::sync::Once;
use std::time::Duration;

use reqwest::header::{HeaderValue, LOCATION};
use reqwest::{RequestBuilder, Response, Url};
use time::OffsetDateTime;

use crate::llm::http::config::{Endpoint, HttpConfig, shown};
use crate::llm::http::refusal::{Words, shorten};
use crate::llm::http::retry;
use crate::llm::http::sse;
use crate::llm::http::wire::Unusable;
use crate::llm::{ModelError, Secret};

/// Largest answer that is read, in bytes after decompression.
const LARGEST_BODY: usize = 64 << 20;

/// How long the end of a connection is waited for after the end of a stream.
const LINGERING: Duration = Duration::from_millis(200);

/// Why an attempt failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// Repeating does not mend it.
    Final(ModelError),
    /// It may pass.
    Passing {
        /// What to report if this was the last attempt.
        error: ModelError,
        /// In a few words.
        reason: String,
        /// The wait that the server asks for.
        after: Option<Duration>,
        /// Whether the request reached a server.
        sent: bool,
    },
}

/// A connection that ended otherwise than by an answer.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("no answer within {0} s")]
    Silent(f64),
    #[error("the answer ended in the middle")]
    Truncated,
}

/// The connection pool and what belongs to every request.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    endpoint: Endpoint,
    key: Option<Secret>,
    timeout: Duration,
}

impl Transport {
    /// Certificates are checked by the platform's verifier, which on Linux reads the system's
    /// bundle, or `SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set.
    pub(super) fn new(config: &HttpConfig) -> Result<Self, ModelError> {
        install_crypto_provider();
        let endpoint = Endpoint::parse(&config.base_url)?;
        let builder = || {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("agent/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(config.connect_timeout)
                .timeout(config.timeout)
                // A redirected POST would arrive as a GET, and the key at another host.
                .redirect(reqwest::redirect::Policy::none());
            if endpoint.is_local() { builder.no_proxy() } else { builder }
        };
        let http = match builder().build() {
            // A slim container has no trust roots, and does not need any to ask a plain address.
            Err(_) if endpoint.is_plain() => builder().tls_certs_only([]).build(),
            built => built,
        };
        let http = http.map_err(|error| {
            let words = innermost(&error);
            let hint = "are ca-certificates installed, or does SSL_CERT_FILE name a bundle?";
            ModelError::Config { detail: format!("the HTTP client cannot start: {words} ({hint})") }
        })?;
        let key = config.api_key.clone().filter(|key| !key.is_empty());
        Ok(Self { http, endpoint, key, timeout: config.timeout })
    }

    /// A request for the address `tail` under the base, with the key; for one that begins with `../`,
    /// beside the base's version segment.
    pub(super) fn get(&self, tail: &str) -> Result<RequestBuilder, ModelError> {
        let url = match tail.strip_prefix("../") {
            Some(tail) => self.endpoint.beside(tail),
            None => self.endpoint.join(tail),
        };
        self.keyed(self.http.get(url))
    }

    /// As [`Transport::get`], with a JSON body.
    pub(super) fn post(&self, tail: &str, body: Vec<u8>) -> Result<RequestBuilder, ModelError> {
        let request = self.http.post(self.endpoint.join(tail));
        self.keyed(request.header("content-type", "application/json").body(body))
    }

    /// The address `tail` under the base, as it may be shown.
    pub(super) fn url(&self, tail: &str) -> String {
        shown(&self.endpoint.join(tail))
    }

    fn keyed(&self, request: RequestBuilder) -> Result<RequestBuilder, ModelError> {
        let Some(key) = &self.key else { return Ok(request) };
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", key.expose())).map_err(|_| {
                ModelError::Config {
                    detail: "the API key holds characters no header may hold".into(),
                }
            })?;
        value.set_sensitive(true);
        Ok(request.header("authorization", value))
    }

    /// Sends `request` and reads the body of a successful answer.
    pub(super) async fn exchange(&self, request: RequestBuilder) -> Result<Vec<u8>, Fault> {
        let (client, request) = request.build_split();
        let request = request.map_err(|error| {
            let detail = format!("a request cannot be built: {}", innermost(&error));
            Fault::Final(ModelError::Config { detail })
        })?;
        let url = request.url().clone();
        let response = client.execute(request).await.map_err(|error| self.broken(&url, error))?;
        let status = response.status();
        let after = retry::retry_after(response.headers(), OffsetDateTime::now_utc());
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
        let location = location.map(str::to_owned);
        let body = self.read(&url, response).await;
        if status.is_success() {
            return body;
        }
        let mut words = Words::read(&body.unwrap_or_default());
        if status.is_redirection() {
            let to = location.unwrap_or_else(|| "another address".to_owned());
            words.message = format!("it redirects to {}; use that address", shorten(&to));
        }
        Err(self.refusal(&url, status.as_u16(), after, words))
    }

    async fn read(&self, url: &Url, mut response: Response) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        loop {
            let chunk = if sse::is_done(&body) {
                // Some servers say that it is the end and keep the connection open.
                let end = tokio::time::timeout(LINGERING, response.chunk()).await;
                end.unwrap_or(Ok(None))
            } else {
                response.chunk().await
            };
            match chunk {
                Ok(None) => return Ok(body),
                Ok(Some(chunk)) if body.len() + chunk.len() <= LARGEST_BODY => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => {
                    let detail = format!("it is larger than {} MiB", LARGEST_BODY >> 20);
                    return Err(Fault::Final(self.garbled(url, &detail)));
                }
                Err(error) if error.is_timeout() => return Err(self.broken(url, error)),
                Err(_) => return Err(self.truncated(url)),
            }
        }
    }

    /// The fault behind a successful status with a useless body.
    pub(super) fn unusable(&self, tail: &str, unusable: Unusable) -> Fault {
        let url = self.endpoint.join(tail);
        match unusable {
            Unusable::Truncated => self.truncated(&url),
            Unusable::Garbled(detail) => Fault::Final(self.garbled(&url, &detail)),
            Unusable::Error(error) => {
                let words = Words::from_json(&error);
                let status = words.status().unwrap_or(200);
                self.refusal(&url, status, None, words)
            }
        }
    }

    fn garbled(&self, url: &Url, detail: &str) -> ModelError {
        ModelError::Garbled { url: shown(url), detail: self.redact(detail) }
    }

    fn truncated(&self, url: &Url) -> Fault {
        Fault::Passing {
            error: ModelError::Unreachable { url: shown(url), source: Broken::Truncated.into() },
            reason: Broken::Truncated.to_string(),
            after: None,
            sent: true,
        }
    }

    fn broken(&self, url: &Url, error: reqwest::Error) -> Fault {
        let error = error.without_url();
        let sent = !error.is_connect();
        let (reason, source) = if error.is_timeout() && sent {
            let silent = Broken::Silent(self.timeout.as_secs_f64());
            (silent.to_string(), silent.into())
        } else {
            (innermost(&error), error.into())
        };
        let error = ModelError::Unreachable { url: shown(url), source };
        Fault::Passing { error, reason, after: None, sent }
    }

    fn refusal(&self, url: &Url, status: u16, after: Option<Duration>, words: Words) -> Fault {
        let overflow = if status == 413 { Some(None) } else { words.overflow() };
        // A rate limit may speak of tokens and lengths too.
        if let Some(limit) = overflow.filter(|_| status != 429) {
            let detail = self.redact(&words.message);
            return Fault::Final(ModelError::ContextOverflow { limit, detail });
        }
        let detail = self.detail(status, &words.message);
        let error = ModelError::Refused { url: shown(url), status, detail };
        // An empty account does not fill within seconds.
        if !retry::may_pass(status) || words.has_code("insufficient_quota") {
            return Fault::Final(error);
        }
        Fault::Passing { error, reason: retry::reason(status), after, sent: true }
    }

    fn detail(&self, status: u16, message: &str) -> String {
        let words = self.redact(message);
        let hint = match (status, &self.key) {
            (401 | 403, None) => "no API key was sent; set OPENAI_API_KEY",
            (401 | 403, Some(_)) => "the API key was refused",
            (404, _) => "either the model's name or the base URL is wrong",
            _ if words.is_empty() => return "no explanation".to_owned(),
            _ => return words,
        };
        if words.is_empty() { hint.to_owned() } else { format!("{words} ({hint})") }
    }

    fn redact(&self, text: &str) -> String {
        self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.redact(text))
    }
}

/// The words of the deepest cause, which are the ones that help.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut words = error.to_string();
    while let Some(error) = cause {
        words = error.to_string();
        cause = error.source();
    }
    words
}

/// Chooses the process's TLS implementation; every HTTP client needs it once. May be called
/// freely.
pub fn install_crypto_provider() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // Fails if the process has a provider already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
