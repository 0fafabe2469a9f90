//! From an address to a client: sockets, ports with and without TLS, and ssh.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, Docker};

use crate::sandbox::docker::address::Address;
use crate::sandbox::docker::tunnel::Tunnel;

type Failure = Box<dyn Error + Send + Sync>;

/// A client, and the tunnel that it needs.
pub(super) struct Reached {
    pub(super) docker: Docker,
    pub(super) tunnel: Option<Arc<Tunnel>>,
}

/// Makes a client; `call` bounds the wait for the beginning of an answer. Only ssh is connected to
/// already.
pub(super) async fn reach(address: &Address, call: Duration) -> Result<Reached, Failure> {
    let seconds = call.as_secs();
    let socket = |path: &Path| {
        let path = path.to_str().ok_or("the socket's path is not UTF-8")?;
        Ok::<_, Failure>(Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION)?)
    };
    let (docker, tunnel) = match address {
        Address::Unix(path) => (socket(path)?, None),
        Address::Tcp { authority, tls: false } => {
            let address = format!("tcp://{authority}");
            (Docker::connect_with_http(&address, seconds, API_DEFAULT_VERSION)?, None)
        }
        Address::Tcp { authority, tls: true } => (tls(authority, seconds)?, None),
        Address::Ssh(target) => {
            let tunnel = Tunnel::open(target).await?;
            (socket(tunnel.socket())?, Some(Arc::new(tunnel)))
        }
    };
    Ok(Reached { docker: docker.with_timeout(call), tunnel })
}

/// With the files that the docker client takes: `ca.pem`, and `cert.pem` and `key.pem` where the
/// engine wants to know who asks.
fn tls(authority: &str, seconds: u64) -> Result<Docker, Failure> {
    // The client library panics without one. It fails if the process has one already, which then
    // serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = certificates().ok_or("set DOCKER_CERT_PATH to a directory with ca.pem")?;
    let file = |name: &str| dir.join(name);
    if !file("ca.pem").is_file() {
        let why = format!(
            "{} is missing; DOCKER_CERT_PATH names its directory",
            file("ca.pem").display()
        );
        return Err(why.into());
    }
    let address = format!("tcp://{authority}");
    let [key, cert, ca] = ["key.pem", "cert.pem", "ca.pem"].map(file);
    Ok(Docker::connect_with_ssl(&address, &key, &cert, &ca, seconds, API_DEFAULT_VERSION)?)
}

/// Where the docker client looks for certificates.
fn certificates() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("DOCKER_CERT_PATH")
        .or_else(|| named("DOCKER_CONFIG"))
        .or_else(|| named("HOME").map(|home| home.join(".docker")))
}
