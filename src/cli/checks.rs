//! What `agent doctor` looks at. Each failure names what mends it.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::session;
use crate::cli::settings::Settings;
use crate::event::{Events, with_causes};
use crate::llm::{Ability, HttpClient, ModelClient, ModelError};
use crate::sandbox::Choice;
use crate::sandbox::docker::Engine;

/// One finding.
#[derive(Serialize)]
pub(crate) struct Check {
    pub(crate) what: &'static str,
    pub(crate) ok: bool,
    pub(crate) found: String,
    /// What is done instead of what is not there.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) instead: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) mend: String,
    /// Whether an endpoint can do it; absent for what is no ability of one, and where it could not be
    /// told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) can: Option<bool>,
    /// The endpoint whose ability it is.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) of: &'static str,
}

impl Check {
    pub(crate) fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self {
            what,
            ok: true,
            found: found.into(),
            instead: "",
            mend: String::new(),
            can: None,
            of: "",
        }
    }

    pub(crate) fn bad(
        what: &'static str,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { ok: false, mend: mend.into(), ..Self::good(what, found) }
    }

    /// Without chat completions nothing works; all else is done without.
    fn ability(ability: Ability) -> Self {
        let lost = ability.has == Some(false) && ability.instead.is_empty();
        Self {
            ok: !(lost && ability.name == "chat"),
            instead: ability.instead,
            mend: ability.mend.to_owned(),
            can: ability.has,
            of: "endpoint",
            ..Self::good(ability.name, ability.found)
        }
    }
}

/// The model server.
pub(crate) async fn endpoint(settings: &Settings, context: Option<u64>) -> Vec<Check> {
    if settings.config.model.base_url.is_empty() {
        return vec![Check::good("endpoint", "none given: only recorded replies can be used")];
    }
    let config = session::http_config(settings);
    let client = match HttpClient::new(config, Events::discard(), CancellationToken::new()).await {
        Ok(client) => client,
        Err(error) => return vec![Check::bad("endpoint", with_causes(&error), error.hint())],
    };
    let (url, model) = (&settings.config.model.base_url, client.model());
    // Before the probes, each of which would wait for a server that is not there.
    let reached = match client.models().await {
        Ok(models) => {
            let found = format!("{url} serves {}; using {model}", models.join(", "));
            Check::good("endpoint", found)
        }
        // Some servers have no list of models.
        Err(ModelError::Refused { status: 404 | 405 | 501, .. }) => {
            Check::good("endpoint", format!("{url}; using {model}"))
        }
        Err(error) => return vec![Check::bad("endpoint", with_causes(&error), error.hint())],
    };
    let server = client.server().await.unwrap_or_default();
    let mut checks =
        vec![reached, Check { of: "endpoint", ..Check::good("server", server.to_string()) }];
    checks.extend(client.abilities(context).await.into_iter().map(Check::ability));
    checks
}

/// The server of embeddings, if the settings name one.
pub(crate) async fn embeddings(settings: &Settings) -> Option<Check> {
    const WHAT: &str = "embeddings server";
    let config = session::embeddings_config(settings)?;
    let url = config.base_url.clone();
    let asked = async {
        let client = HttpClient::new(config, Events::discard(), CancellationToken::new()).await?;
        let vectors = client.embed(&["def f(): pass"]).await?;
        Ok::<_, ModelError>((client.model().to_owned(), vectors[0].len()))
    };
    Some(match asked.await {
        Ok((model, dimensions)) => {
            Check::good(WHAT, format!("{url} serves {model}, {dimensions} dimensions"))
        }
        Err(error) => Check {
            instead: "files are ranked without its list",
            ..Check::bad(WHAT, with_causes(&error), error.hint())
        },
    })
}

/// The sandbox and its base image.
pub(crate) async fn containers(settings: &Settings) -> Vec<Check> {
    let kind = settings.config.run.sandbox;
    if kind == Choice::Local {
        return vec![Check::good("sandbox", "local, as the settings say")];
    }
    let sandbox = &settings.config.sandbox;
    let mut checks = Vec::new();
    for host in sandbox.hosts() {
        match Engine::connect_to(&host).await {
            Ok(engine) => {
                let slots = engine.slots(&sandbox.limits());
                let room = match sandbox.docker_hosts.len() {
                    0 | 1 => String::new(),
                    _ => format!(", room for {slots}"),
                };
                checks.push(Check::good("sandbox", engine.told() + &room));
                let hint = "`podman info` and the engine's own log say why";
                checks.extend(engine.unkept().map(|unkept| Check::bad("limits", unkept, hint)));
                checks.push(base_image(&engine, &sandbox.base_image).await);
            }
            Err(error) if kind == Choice::Auto && sandbox.docker_hosts.is_empty() => {
                checks.push(Check::good("sandbox", format!("local, because {error}")));
            }
            Err(error) => {
                let found = match std::error::Error::source(&error) {
                    Some(cause) if !sandbox.docker_hosts.is_empty() => format!("{error}: {cause}"),
                    _ => error.to_string(),
                };
                checks.push(Check::bad("sandbox", found, error.hint()));
            }
        }
    }
    checks
}

async fn base_image(engine: &Engine, base: &str) -> Check {
    match engine.image(base).await {
        Ok(Some(_)) => Check::good("base image", base.to_owned()),
        Ok(None) => Check::bad(
            "base image",
            format!("{base} is missing; instances without an image of their own need it"),
            "bash docker/base.sh",
        ),
        Err(error) => Check::bad("base image", error.to_string(), error.hint()),
    }
}

/// The git program.
pub(crate) fn git() -> Check {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(output) => Check::good("git", String::from_utf8_lossy(&output.stdout).trim()),
        Err(error) => {
            Check::bad("git", error.to_string(), "install git: cloning and --apply use it")
        }
    }
}

/// Below this a run of a few instances may fill the disk with containers and images.
const SPARE: u64 = 5 << 30;

/// Room on the disk.
pub(crate) fn disk() -> Check {
    let here = std::path::Path::new(".");
    match nix::sys::statvfs::statvfs(here) {
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let found = format!("{:.1} GiB free here", free as f64 / f64::from(1 << 30));
            if free >= SPARE {
                Check::good("disk", found)
            } else {
                Check::bad("disk", found, "make room, or `agent images prune`")
            }
        }
        Err(error) => Check::bad("disk", error.to_string(), ""),
    }
}
