//! What the environment says about the hub, under the names that its own clients use.

use std::fmt;
use std::path::PathBuf;

/// Where the hub is, where its files are kept, and who asks.
#[derive(Clone)]
pub struct Hub {
    /// Base URL, without a slash at its end.
    pub endpoint: String,
    /// Folder with `datasets--owner--name` folders.
    pub cache: PathBuf,
    /// The variable that forbids the network, if one does.
    pub offline: Option<&'static str>,
    /// Sent to the endpoint only; never shown.
    token: Option<String>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .field("token", &self.token.as_ref().map(|_| "<redacted>"))
            .finish()
    }
}

impl Hub {
    /// Reads `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_DATASETS_OFFLINE`,
    /// `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_DISABLE_IMPLICIT_TOKEN` and `XDG_CACHE_HOME`.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    /// As [`Hub::from_env`], from any source of variables; a blank one counts as absent.
    pub fn from_variables(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| get(name).map(|value| expand(&value, get("HOME")));
        let home = path("HF_HOME").unwrap_or_else(|| {
            path("XDG_CACHE_HOME")
                .or_else(|| get("HOME").map(|home| PathBuf::from(home).join(".cache")))
                .unwrap_or_else(std::env::temp_dir)
                .join("huggingface")
        });
        let is_true = |name: &&str| {
            get(name).is_some_and(|value| {
                ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str())
            })
        };
        let token_file = || {
            let path = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            std::fs::read_to_string(path).ok()
        };
        let token = (!is_true(&"HF_HUB_DISABLE_IMPLICIT_TOKEN"))
            .then(|| get("HF_TOKEN").or_else(|| get("HUGGING_FACE_HUB_TOKEN")).or_else(token_file))
            .flatten();
        Self {
            endpoint: get("HF_ENDPOINT").map_or("https://huggingface.co".to_owned(), |url| {
                url.trim().trim_end_matches('/').to_owned()
            }),
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| home.join("hub")),
            offline: ["HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"].into_iter().find(is_true),
            token: token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty()),
        }
    }

    /// The token, for a request's header.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// `~/x` as the hub's own clients read it.
fn expand(path: &str, home: Option<String>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(variables: &[(&str, &str)]) -> Hub {
        Hub::from_variables(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn places_are_those_of_the_hubs_own_clients() {
        let cache = |variables: &[(&str, &str)]| hub(variables).cache.display().to_string();
        assert_eq!(cache(&[("HOME", "/h")]), "/h/.cache/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/h"), ("HF_HOME", "~/hf")]), "/h/hf/hub");
        assert_eq!(cache(&[("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/c")]), "/c");
        assert_eq!(hub(&[]).endpoint, "https://huggingface.co");
        assert_eq!(hub(&[("HF_ENDPOINT", "http://m/hf/")]).endpoint, "http://m/hf");
    }

    #[test]
    fn offline_is_what_python_takes_for_true() {
        for yes in ["1", "true", "YES", "on"] {
            assert_eq!(hub(&[("HF_HUB_OFFLINE", yes)]).offline, Some("HF_HUB_OFFLINE"), "{yes}");
        }
        for no in ["0", "false", "", "no"] {
            assert_eq!(hub(&[("HF_HUB_OFFLINE", no)]).offline, None, "{no}");
        }
        assert_eq!(hub(&[("HF_DATASETS_OFFLINE", "1")]).offline, Some("HF_DATASETS_OFFLINE"));
    }

    #[test]
    fn tokens_come_from_the_variable_or_the_file_and_are_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("token"), "hf_file\n").unwrap();
        let home = dir.path().to_str().unwrap();
        assert_eq!(hub(&[("HF_HOME", home)]).token(), Some("hf_file"));
        let both = hub(&[("HF_HOME", home), ("HF_TOKEN", "hf_variable")]);
        assert_eq!(both.token(), Some("hf_variable"));
        assert!(!format!("{both:?}").contains("hf_variable"));
        let none = hub(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]);
        assert_eq!(none.token(), None);
    }
}
