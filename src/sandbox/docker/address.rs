//! Where an engine listens, as `DOCKER_HOST` and `--docker-host` spell it.

use std::env;
use std::path::{Path, PathBuf};

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Ports of an engine where the address names none, without and with TLS.
const PORTS: [u16; 2] = [2375, 2376];

/// The spellings that are understood, for messages.
const SPELLINGS: &str = "unix:///PATH, tcp://HOST:PORT, https://HOST:PORT (TLS), or \
                             ssh://[USER@]HOST[:PORT][/PATH/OF/SOCKET]";

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A port, on whatever machine.
    Tcp {
        /// `HOST:PORT`.
        authority: String,
        /// Whether TLS is asked for by the address itself; `DOCKER_TLS_VERIFY` asks for it too.
        tls: bool,
    },
    /// A socket on another machine that ssh reaches.
    Ssh(SshTarget),
}

/// A socket behind ssh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// `HOST` or `USER@HOST`, as ssh takes it; may be an alias of ssh's configuration.
    pub destination: String,
    /// Port, if it is not the configuration's.
    pub port: Option<u16>,
    /// The engine's socket over there.
    pub socket: String,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// A message that names the allowed spellings.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!("{text:?} is no address of a container engine ({why}): expected {SPELLINGS}")
        };
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong("it holds a blank"));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(wrong("it has no scheme"));
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(wrong("the path is not absolute")),
            "tcp" | "http" | "https" => {
                let rest = rest.strip_suffix('/').unwrap_or(rest);
                let tls = scheme == "https" || tls_is_asked_for();
                let authority = with_port(rest, PORTS[usize::from(tls)])
                    .ok_or_else(|| wrong("HOST or PORT cannot be read"))?;
                Ok(Self::Tcp { authority, tls })
            }
            "ssh" => ssh(rest).map(Self::Ssh).map_err(wrong),
            _ => Err(wrong("the scheme is unknown")),
        }
    }

    /// Whether the engine surely runs on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

/// `DOCKER_HOST`, else the default socket or a rootless engine's.
#[must_use]
pub fn default_host() -> String {
    if let Ok(host) = env::var("DOCKER_HOST")
        && !host.is_empty()
    {
        return host;
    }
    let rootless = env::var("XDG_RUNTIME_DIR").map(|dir| format!("{dir}/docker.sock"));
    match rootless {
        Ok(path) if !Path::new(DEFAULT_SOCKET).exists() && Path::new(&path).exists() => {
            format!("unix://{path}")
        }
        _ => format!("unix://{DEFAULT_SOCKET}"),
    }
}

fn tls_is_asked_for() -> bool {
    env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty())
}

/// `HOST:PORT` of `HOST[:PORT]`.
fn with_port(text: &str, default: u16) -> Option<String> {
    // In `[::1]` the colons belong to the host.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || bracketed && "[:]%".contains(c);
    (!host.is_empty() && host.chars().all(allowed) && port > 0).then(|| format!("{host}:{port}"))
}

fn ssh(rest: &str) -> Result<SshTarget, &'static str> {
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (rest, ""),
    };
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => {
            (host, Some(port.parse().map_err(|_| "PORT cannot be read")?))
        }
        _ => (host, None),
    };
    // ssh takes the bare address; a word that begins with a hyphen would be an option to it.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if !plain(host, "-._:%") || !user.is_none_or(|user| plain(user, "-._+\\")) {
        return Err("USER or HOST cannot be read");
    }
    let socket = match path {
        "" => DEFAULT_SOCKET.to_owned(),
        // A colon would end the path of a forwarding.
        path if path.contains(':') => return Err("the socket's path holds a colon"),
        path => format!("/{path}"),
    };
    let destination = user.map_or_else(|| host.to_owned(), |user| format!("{user}@{host}"));
    Ok(SshTarget { destination, port, socket })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_docker_and_podman_spell_them() {
        let tcp = |authority: &str, tls| Address::Tcp { authority: authority.to_owned(), tls };
        let ssh = |destination: &str, port, socket: &str| {
            let (destination, socket) = (destination.to_owned(), socket.to_owned());
            Address::Ssh(SshTarget { destination, port, socket })
        };
        for (text, address) in [
            ("unix:///run/x.sock", Address::Unix("/run/x.sock".into())),
            ("tcp://10.0.0.2:2375", tcp("10.0.0.2:2375", false)),
            ("tcp://host/", tcp("host:2375", false)),
            ("http://[::1]:99", tcp("[::1]:99", false)),
            ("tcp://[::1]", tcp("[::1]:2375", false)),
            ("https://h.example", tcp("h.example:2376", true)),
            ("ssh://build-1", ssh("build-1", None, "/var/run/docker.sock")),
            ("ssh://me@h:22", ssh("me@h", Some(22), "/var/run/docker.sock")),
            (
                "ssh://core@h:2222/run/user/1000/podman/podman.sock",
                ssh("core@h", Some(2222), "/run/user/1000/podman/podman.sock"),
            ),
        ] {
            assert_eq!(Address::parse(text), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_allowed_spellings() {
        for text in [
            "",
            "host:2375",
            "fd://",
            "ftp://x",
            "unix://run/x",
            "tcp://",
            "tcp://h:0",
            "tcp://h:99999",
            "tcp://h/path",
            "tcp://a b:1",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://h:port",
            "ssh://-u@h",
            "ssh://h/run/a:b",
        ] {
            let message = Address::parse(text).unwrap_err();
            assert!(message.contains("tcp://HOST:PORT") && message.contains("ssh://"), "{message}");
        }
    }
}
