//! How this machine reaches package indexes, for install commands and image builds: proxies, index
//! settings of pip, and a CA bundle. Environment variables and pip's configuration files say where;
//! no host is named here, and nothing of it gets into an image or a session.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Proxy variables, passed on in the spelling in which they are set.
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

/// pip's settings that concern reaching an index.
const SETTINGS: [&str; 7] = [
    "index-url",
    "extra-index-url",
    "trusted-host",
    "proxy",
    "timeout",
    "default-timeout",
    "retries",
];

/// Variables that may name the file with this machine's certificates, most specific first.
const CERTIFICATES: [&str; 5] =
    ["PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "GIT_SSL_CAINFO"];

/// What an install command needs of this machine's network settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNetwork {
    /// Variables, without those that name a CA bundle.
    pub env: BTreeMap<String, String>,
    /// A CA bundle on this machine.
    pub ca_bundle: Option<PathBuf>,
    /// Whether an address lies on this machine itself, so that only the host's network reaches it.
    pub on_this_machine: bool,
}

impl HostNetwork {
    /// Reads the environment and pip's configuration files.
    #[must_use]
    pub fn detect() -> Self {
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let files: Vec<String> = config_files(&environment)
            .into_iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .collect();
        Self::from_parts(&environment, &files)
    }

    /// `files` are contents of configuration files, the later ones win; variables win over files.
    fn from_parts(variables: &BTreeMap<String, String>, files: &[String]) -> Self {
        let mut pip: BTreeMap<String, String> = BTreeMap::new();
        for file in files {
            pip.extend(settings(file));
        }
        for (name, value) in variables {
            if let Some(setting) = name.strip_prefix("PIP_") {
                pip.insert(setting.to_ascii_lowercase().replace('_', "-"), value.clone());
            }
        }
        let mut network = Self::default();
        for setting in SETTINGS {
            if let Some(value) = pip.get(setting) {
                let name = format!("PIP_{}", setting.to_ascii_uppercase().replace('-', "_"));
                network.env.insert(name, value.clone());
            }
        }
        // A folder of this machine is not there in the container; only addresses are passed on.
        let links: Vec<&str> = pip
            .get("find-links")
            .into_iter()
            .flat_map(|links| links.split_whitespace())
            .filter(|link| link.contains("://") && !link.starts_with("file:"))
            .collect();
        if !links.is_empty() {
            network.env.insert("PIP_FIND_LINKS".to_owned(), links.join(" "));
        }
        for name in PROXIES {
            if let Some(value) = variables.get(name).filter(|value| !value.is_empty()) {
                network.env.insert(name.to_owned(), value.clone());
            }
        }
        network.on_this_machine = network
            .env
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("no_proxy"))
            .any(|(_, value)| names_this_machine(value));
        network.ca_bundle = CERTIFICATES
            .iter()
            .filter_map(|name| match *name {
                "PIP_CERT" => pip.get("cert"),
                name => variables.get(name),
            })
            .map(PathBuf::from)
            .find(|path| path.is_file());
        network
    }

    /// All variables, where the CA bundle lies at `ca_bundle`.
    #[must_use]
    pub fn variables(&self, ca_bundle: Option<&Path>) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> =
            self.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some(path) = ca_bundle {
            let path = path.display().to_string();
            all.extend(CERTIFICATES.map(|name| (name.to_owned(), path.clone())));
        }
        let fixed = [
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
            ("PIP_NO_CACHE_DIR", "1"),
            ("PIP_ROOT_USER_ACTION", "ignore"),
        ];
        all.extend(fixed.map(|(name, value)| (name.to_owned(), value.to_owned())));
        all
    }
}

/// Where pip looks, the least important first.
fn config_files(variables: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let get = |name: &str| variables.get(name).filter(|value| !value.is_empty());
    if get("PIP_CONFIG_FILE").is_some_and(|path| path == "/dev/null") {
        return Vec::new();
    }
    let mut files = vec![PathBuf::from("/etc/xdg/pip/pip.conf"), PathBuf::from("/etc/pip.conf")];
    if let Some(home) = get("HOME") {
        files.push(Path::new(home).join(".pip/pip.conf"));
        let config =
            get("XDG_CONFIG_HOME").map_or_else(|| Path::new(home).join(".config"), PathBuf::from);
        files.push(config.join("pip/pip.conf"));
    }
    files.extend(get("PIP_CONFIG_FILE").map(PathBuf::from));
    files
}

/// The keys of the sections that hold for `pip install` and `pip download`; values that go over
/// several lines are joined by blanks.
fn settings(file: &str) -> BTreeMap<String, String> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    let mut relevant = false;
    let mut last: Option<String> = None;
    for line in file.lines() {
        let text = line.trim();
        if text.is_empty() || text.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            relevant = ["global", "install", "download"].contains(&section.trim());
            last = None;
        } else if line.starts_with([' ', '\t']) && last.is_some() {
            if let Some(value) = last.as_ref().and_then(|key| settings.get_mut(key)) {
                value.push(' ');
                value.push_str(text);
            }
        } else if let Some((key, value)) = text.split_once(['=', ':'])
            && relevant
        {
            let key = key.trim().to_ascii_lowercase().replace('_', "-");
            settings.insert(key.clone(), value.trim().to_owned());
            last = Some(key);
        } else {
            last = None;
        }
    }
    settings.into_iter().map(|(key, value)| (key, value.trim().to_owned())).collect()
}

fn names_this_machine(value: &str) -> bool {
    value.split_whitespace().any(|word| {
        let rest = word.split_once("://").map_or(word, |(_, rest)| rest);
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let name = host.split(':').next().unwrap_or_default();
        name == "localhost" || name.starts_with("127.") || host.starts_with("[::1]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn configuration_files_count_and_variables_win() {
        let bundle = tempfile::NamedTempFile::new().unwrap();
        let earlier = "[global]\nindex-url = https://old.test/simple\n[freeze]\nretries = 1\n";
        let file = format!(
            "# comment\n[global]\nindex_url = https://u:p@index.test/simple\n\
            extra-index-url =\n    https://one.test/\n    # no\n    https://two.test/\n\
            cert={}\n[list]\nformat = columns\n[install]\ntimeout: 60\n",
            bundle.path().display()
        );
        let network = HostNetwork::from_parts(
            &variables(&[
                ("PIP_TIMEOUT", "99"),
                ("PIP_NO_INDEX", "1"),
                ("https_proxy", "http://proxy.test:3128"),
                ("PIP_FIND_LINKS", "/opt/wheels https://links.test/"),
                ("SSL_CERT_FILE", "/nonexistent.pem"),
            ]),
            &[earlier.to_owned(), file],
        );
        let expected = variables(&[
            ("PIP_INDEX_URL", "https://u:p@index.test/simple"),
            ("PIP_EXTRA_INDEX_URL", "https://one.test/ https://two.test/"),
            ("PIP_TIMEOUT", "99"),
            ("PIP_FIND_LINKS", "https://links.test/"),
            ("https_proxy", "http://proxy.test:3128"),
        ]);
        assert_eq!(network.env, expected);
        assert_eq!(network.ca_bundle.as_deref(), Some(bundle.path()));
        assert!(!network.on_this_machine);
        let inside = network.variables(Some(Path::new("/ca.pem")));
        assert!(inside.contains(&("PIP_CERT".to_owned(), "/ca.pem".to_owned())));
        let outside = bundle.path().display().to_string();
        assert!(!inside.iter().any(|(_, value)| *value == outside));
    }

    #[test]
    fn an_index_on_this_machine_is_noticed_and_an_exception_from_the_proxy_is_not() {
        for url in ["http://localhost:3141/root", "http://u:p@127.0.0.1/simple", "http://[::1]:80/"]
        {
            let network = HostNetwork::from_parts(&variables(&[("PIP_INDEX_URL", url)]), &[]);
            assert!(network.on_this_machine, "{url}");
        }
        for (name, value) in
            [("NO_PROXY", "localhost,127.0.0.1"), ("PIP_INDEX_URL", "https://localhost.test/")]
        {
            assert!(!HostNetwork::from_parts(&variables(&[(name, value)]), &[]).on_this_machine);
        }
    }

    #[test]
    fn nothing_set_means_nothing_passed_on() {
        assert_eq!(HostNetwork::from_parts(&BTreeMap::new(), &[]), HostNetwork::default());
    }
}
