//! Why a dataset of the hub cannot be had.

use std::io;
use std::path::PathBuf;

use crate::dataset::hub::HubName;

/// Why a dataset of the hub cannot be had; each names what was tried.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Not `owner/name[@revision][:split]`.
    #[error(
        "{name:?} is no dataset of the hub: {problem}; expected owner/name, owner/name@REVISION or \
         owner/name@REVISION:SPLIT"
    )]
    Name {
        /// What was given.
        name: String,
        /// Which rule it breaks.
        problem: &'static str,
    },
    /// No network is to be used, and the cache does not hold it.
    #[error("{wanted} is not in {cache}, and {variable} forbids to fetch it")]
    Offline {
        /// What was asked for.
        wanted: Box<HubName>,
        /// Where it was looked for.
        cache: PathBuf,
        /// The variable that says so.
        variable: &'static str,
        /// Commits that something is cached of.
        other: Vec<String>,
    },
    /// The hub does not answer, and the cache does not hold it.
    #[error("cannot reach {url}, and {wanted} is not in {cache}: {cause}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What was asked for.
        wanted: Box<HubName>,
        /// Where it was looked for.
        cache: PathBuf,
        /// The innermost words.
        cause: String,
    },
    /// 401 or 403.
    #[error("{url} answered {status}: {message}")]
    Denied {
        /// What was asked.
        url: String,
        /// Status code.
        status: u16,
        /// The hub's words.
        message: String,
        /// Where a person asks for access.
        page: String,
        /// Whether a token was sent.
        with_token: bool,
    },
    /// 404.
    #[error("{url} answered 404: there is no {what}")]
    NotFound {
        /// What was asked.
        url: String,
        /// Which of the hub's things is missing.
        what: String,
    },
    /// Another status than success.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// What was asked.
        url: String,
        /// Status code.
        status: u16,
        /// The hub's words.
        message: String,
    },
    /// An answer that the hub's client does not understand.
    #[error("{url} gave an answer that is not the hub's: {problem}")]
    Answer {
        /// What was asked.
        url: String,
        /// What is missing or wrong.
        problem: String,
    },
    /// A repository without usable parquet files.
    #[error("{id} at {commit} {problem}")]
    Files {
        /// Repository.
        id: String,
        /// Commit.
        commit: String,
        /// What was looked for and what was found.
        problem: String,
        /// What to give instead.
        hint: String,
    },
    /// Content that is not what its name says.
    #[error("{path} is damaged: {problem}")]
    Damaged {
        /// The cached file.
        path: PathBuf,
        /// How it shows.
        problem: &'static str,
    },
    /// The cache cannot be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl HubError {
    /// Whether the surroundings are at fault (network, access, disk) and not what was asked for.
    #[must_use]
    pub fn is_environment(&self) -> bool {
        !matches!(self, Self::Name { .. } | Self::NotFound { .. } | Self::Files { .. })
    }

    /// Whether the cache may stand in for the hub: it did not answer, or not as itself.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Answer { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    /// What happened, without what follows from it.
    pub(super) fn short(&self) -> String {
        match self {
            Self::Unreachable { url, cause, .. } => format!("cannot reach {url} ({cause})"),
            other => other.to_string(),
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Offline { wanted, other, .. } if !other.is_empty() => {
                format!("cached in whole or in part: {}@{}", wanted.id, other.join(", @"))
            }
            Self::Offline { wanted, cache, variable, .. } => format!(
                "unset {variable}; or run `agent dataset fetch {wanted}` where there is a network and \
                 copy {} here; or give the path of a .parquet or .jsonl file",
                cache.display()
            ),
            Self::Unreachable { cache, .. } => format!(
                "HTTPS_PROXY names a proxy and HF_ENDPOINT a mirror; without a network fetch it \
                 elsewhere (`agent dataset fetch`) and copy {} here, or give the path of a \
                 .parquet or .jsonl file",
                cache.display()
            ),
            Self::Denied { page, with_token: false, .. } => format!(
                "the dataset is gated, private, or does not exist: accept its conditions at \
                 {page}, and set HF_TOKEN to a token that may read it"
            ),
            Self::Denied { page, with_token: true, .. } => format!(
                "a token was sent and refused: look at {page} with its account, and at HF_TOKEN; \
                 HF_HUB_OFFLINE=1 takes what is cached"
            ),
            Self::NotFound { .. } => {
                "a path would be taken too, if a file lay there; names are SWE-bench's on \
                 https://huggingface.co/datasets, or HF_ENDPOINT's"
                    .to_owned()
            }
            Self::Status { status: 429, .. } => {
                "the hub asks for patience: try again in some minutes, or set HF_TOKEN".to_owned()
            }
            Self::Status { .. } | Self::Answer { .. } => {
                "try again later; HF_ENDPOINT, if set, must name a server that speaks the hub's API"
                    .to_owned()
            }
            Self::Files { hint, .. } => hint.clone(),
            Self::Damaged { .. } => {
                "delete the file and run the command again with a network".to_owned()
            }
            Self::Io { .. } => "HF_HUB_CACHE or HF_HOME name another place".to_owned(),
            Self::Name { .. } => return None,
        })
    }
}
