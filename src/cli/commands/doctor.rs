//! `agent doctor`: is everything here that a run needs? Each failure names what mends it.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::args::{DoctorArgs, OutputArgs};
use crate::cli::error::{CliError, Kind};
use crate::cli::settings::Settings;
use crate::cli::{print, print_json, select, session};
use crate::event::Events;
use crate::llm::{HttpClient, ModelClient};
use crate::sandbox::Choice;
use crate::sandbox::docker::Engine;

#[derive(Serialize)]
struct Check {
    what: &'static str,
    ok: bool,
    found: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    mend: String,
}

impl Check {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, ok: true, found: found.into(), mend: String::new() }
    }

    fn bad(what: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what, ok: false, found: found.into(), mend: mend.into() }
    }
}

pub(crate) async fn doctor(args: DoctorArgs, output: &OutputArgs) -> Result<ExitCode, CliError> {
    let settings = Settings::resolve(&args.settings, None)?;
    let mut checks = vec![endpoint(&settings).await];
    checks.extend(containers(&settings).await);
    checks.push(git());
    checks.push(disk());
    if let Some(name) = &args.dataset {
        checks.push(match select::open_dataset(name, &settings.config) {
            Ok(dataset) => Check::good("dataset", format!("{name}: {} rows", dataset.len())),
            Err(error) => Check::bad("dataset", error.render(false).trim_end(), ""),
        });
    }
    if output.json {
        print_json(&checks)?;
    } else {
        let mut text = String::new();
        for check in &checks {
            let word = if check.ok { "ok  " } else { "FAIL" };
            let _ = writeln!(text, "{word} {:10} {}", check.what, check.found);
            if !check.mend.is_empty() {
                let _ = writeln!(text, "     {:10} mend: {}", "", check.mend);
            }
        }
        print(&text)?;
    }
    let ok = checks.iter().all(|check| check.ok);
    Ok(if ok { ExitCode::SUCCESS } else { Kind::Environment.code() })
}

async fn endpoint(settings: &Settings) -> Check {
    if settings.config.model.base_url.is_empty() {
        return Check::good("endpoint", "none given: only recorded replies can be used");
    }
    let config = session::http_config(settings);
    match HttpClient::new(config, Events::discard(), CancellationToken::new()).await {
        Ok(client) => match client.models().await {
            Ok(models) => Check::good(
                "endpoint",
                format!(
                    "{} serves {}; using {}",
                    settings.config.model.base_url,
                    models.join(", "),
                    client.model()
                ),
            ),
            Err(error) => Check::bad("endpoint", error.to_string(), error.hint()),
        },
        Err(error) => Check::bad("endpoint", error.to_string(), error.hint()),
    }
}

async fn containers(settings: &Settings) -> Vec<Check> {
    let kind = settings.config.run.sandbox;
    if kind == Choice::Local {
        return vec![Check::good("sandbox", "local, as the settings say")];
    }
    let engine = match Engine::connect().await {
        Ok(engine) => engine,
        Err(error) if kind == Choice::Auto => {
            let found = format!("local, because {error}");
            return vec![Check::good("sandbox", found)];
        }
        Err(error) => return vec![Check::bad("sandbox", error.to_string(), error.hint())],
    };
    let version = engine.version().await.unwrap_or_else(|error| error.to_string());
    let mut checks = vec![Check::good("sandbox", format!("docker {version} at {}", engine.host()))];
    let base = &settings.config.sandbox.base_image;
    checks.push(match engine.image(base).await {
        Ok(Some(_)) => Check::good("base image", base.clone()),
        Ok(None) => Check::bad(
            "base image",
            format!("{base} is missing; instances without an image of their own need it"),
            "bash docker/base.sh",
        ),
        Err(error) => Check::bad("base image", error.to_string(), error.hint()),
    });
    checks
}

fn git() -> Check {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(output) => Check::good("git", String::from_utf8_lossy(&output.stdout).trim()),
        Err(error) => {
            Check::bad("git", error.to_string(), "install git: cloning and --apply use it")
        }
    }
}

/// Below this a run of a few instances may fill the disk with containers and images.
const SPARE: u64 = 5 << 30;

fn disk() -> Check {
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
