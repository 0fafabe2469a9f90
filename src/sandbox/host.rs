//! How this machine reaches package indexes, for install commands: proxies, index settings of pip,
//! and a CA bundle. Nothing of it gets into an image or a session.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// pip's options that say where packages come from; in the environment `PIP_` and upper case.
const PIP_OPTIONS: [&str; 7] =
    ["index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "timeout", "retries"];

const PROXIES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

const CA_VARIABLES: [&str; 5] =
    ["PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"];

/// What an install command needs of this machine's network settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HostNetwork {
    /// Variables, without those that name a CA bundle.
    pub env: Vec<(String, String)>,
    /// A CA bundle on this machine.
    pub ca_bundle: Option<PathBuf>,
}

impl HostNetwork {
    /// Reads the environment and pip's configuration files.
    #[must_use]
    pub fn detect() -> Self {
        let home = env::var("HOME").unwrap_or_default();
        let config_home = env::var("XDG_CONFIG_HOME").unwrap_or_else(|_| format!("{home}/.config"));
        // pip's own order: later files win.
        let files = [
            "/etc/pip.conf".to_owned(),
            format!("{home}/.pip/pip.conf"),
            format!("{config_home}/pip/pip.conf"),
            env::var("PIP_CONFIG_FILE").unwrap_or_default(),
        ];
        let configs: Vec<String> =
            files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        Self::from_settings(|name| env::var(name).ok(), &configs)
    }

    fn from_settings(variable: impl Fn(&str) -> Option<String>, configs: &[String]) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let mut found = Vec::new();
        for option in PIP_OPTIONS {
            let name = match option {
                "timeout" => "PIP_DEFAULT_TIMEOUT".to_owned(),
                option => format!("PIP_{}", option.to_uppercase().replace('-', "_")),
            };
            let configured = || configs.iter().rev().find_map(|config| pip_option(config, option));
            let Some(value) = set(&name).or_else(configured) else { continue };
            // A directory of this machine does not exist inside.
            if option == "find-links" && !value.split_whitespace().all(|link| link.contains("://"))
            {
                continue;
            }
            found.push((name, value));
        }
        for name in PROXIES {
            found.extend(set(name).map(|value| (name.to_owned(), value)));
        }
        let ca_bundle = CA_VARIABLES
            .iter()
            .filter_map(|name| set(name))
            .map(PathBuf::from)
            .find(|p| p.is_file());
        Self { env: found, ca_bundle }
    }

    /// All variables, where the CA bundle lies at `ca_bundle`.
    #[must_use]
    pub fn variables(&self, ca_bundle: Option<&Path>) -> Vec<(String, String)> {
        let mut all = self.env.clone();
        if let Some(path) = ca_bundle {
            let path = path.display().to_string();
            all.extend(CA_VARIABLES.map(|name| (name.to_owned(), path.clone())));
        }
        all.push(("PIP_DISABLE_PIP_VERSION_CHECK".to_owned(), "1".to_owned()));
        all.push(("PIP_NO_CACHE_DIR".to_owned(), "1".to_owned()));
        all.push(("PIP_ROOT_USER_ACTION".to_owned(), "ignore".to_owned()));
        all
    }
}

/// An option of the sections `[global]` and `[install]` of a pip configuration file; several lines
/// become one with blanks.
fn pip_option(config: &str, option: &str) -> Option<String> {
    let mut relevant = false;
    let mut values: Vec<&str> = Vec::new();
    let mut inside = false;
    for line in config.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = trimmed.strip_prefix('[') {
            relevant = ["global]", "install]"].contains(&section);
            inside = false;
        } else if line.starts_with([' ', '\t']) {
            if inside {
                values.push(trimmed);
            }
        } else if let Some((name, value)) = trimmed.split_once(['=', ':']) {
            inside = relevant && name.trim().replace('_', "-") == option;
            if inside {
                values = vec![value.trim()];
            }
        }
    }
    let value = values.join(" ").trim().to_owned();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_configuration_files_and_later_files_over_earlier() {
        let configs = [
            "[global]\nindex-url = http://one/simple\ntimeout=9\n".to_owned(),
            "[install]\nindex_url: http://two/simple\n[freeze]\ntimeout = 1\n".to_owned(),
        ];
        let none = HostNetwork::from_settings(|_| None, &configs);
        assert_eq!(
            none.env,
            [
                ("PIP_INDEX_URL".to_owned(), "http://two/simple".to_owned()),
                ("PIP_DEFAULT_TIMEOUT".to_owned(), "9".to_owned()),
            ]
        );
        let index = |name: &str| (name == "PIP_INDEX_URL").then(|| "http://three".to_owned());
        let some = HostNetwork::from_settings(index, &configs);
        assert_eq!(some.env[0].1, "http://three");
    }

    #[test]
    fn lists_over_several_lines_are_joined_and_comments_skipped() {
        let config =
            "[global]\nextra-index-url =\n    http://a\n    # no\n    http://b\nproxy = p\n";
        assert_eq!(pip_option(config, "extra-index-url").as_deref(), Some("http://a http://b"));
        assert_eq!(pip_option(config, "index-url"), None);
    }

    #[test]
    fn directories_of_this_machine_are_not_handed_on() {
        let links = |value: &'static str| {
            HostNetwork::from_settings(
                move |name| (name == "PIP_FIND_LINKS").then(|| value.to_owned()),
                &[],
            )
        };
        assert_eq!(links("/opt/wheels").env, []);
        assert_eq!(links("https://h/wheels").env.len(), 1);
    }

    #[test]
    fn a_ca_bundle_is_named_to_all_tools_at_its_place_inside() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().display().to_string();
        let network = HostNetwork::from_settings(
            |name| match name {
                "PIP_CERT" => Some("/nonexistent.pem".to_owned()),
                "SSL_CERT_FILE" => Some(path.clone()),
                _ => None,
            },
            &[],
        );
        assert_eq!(network.ca_bundle.as_deref(), Some(file.path()));
        let inside = network.variables(Some(Path::new("/ca.pem")));
        assert!(inside.contains(&("PIP_CERT".to_owned(), "/ca.pem".to_owned())));
        assert!(!inside.iter().any(|(_, value)| *value == path));
    }
}
