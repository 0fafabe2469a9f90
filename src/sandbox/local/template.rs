//! A tree laid out once, committed and installed, from which sessions are copied.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use crate::sandbox::capture::end_of;
use crate::sandbox::host::HostNetwork;
use crate::sandbox::local::session::{LocalSession, Place};
use crate::sandbox::script::{AMEND_COMMIT, ONE_COMMIT};
use crate::sandbox::{EnvironmentSpec, ExecStatus, Limits, SandboxError, Session};

/// Lays out, commits and installs into the empty directory of `place`.
pub(super) async fn lay_out(
    place: &Place,
    spec: &EnvironmentSpec,
    limits: &Limits,
    install_time: Duration,
) -> Result<(), SandboxError> {
    place.make_directories()?;
    let (tree, work) = (Arc::clone(&spec.tree), place.work());
    tokio::task::spawn_blocking(move || tree.write_to(&work))
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|source| SandboxError::Io { action: "lay out the tree".to_owned(), source })?;

    let session = LocalSession::new(place.clone(), spec.instance.clone(), limits.clone());
    let step = async |what: &str, script: &str, env: &[(String, String)], time: Duration| {
        let output = session.run(script, env, time).await?;
        let failure = match output.status {
            ExecStatus::Exited(0) => return Ok(()),
            ExecStatus::Exited(code) => format!("exit status {code}"),
            ExecStatus::TimedOut => format!("not done after {} s", time.as_secs()),
            ExecStatus::OutputLimit => "it writes too much".to_owned(),
        };
        let end = end_of(&output.text(), 2000).to_owned();
        Err(SandboxError::Setup {
            instance: spec.instance.clone(),
            detail: format!("{what}: {failure}; its output ends: {end}"),
        })
    };
    let short = Duration::from_secs(300);
    step("commit the tree", ONE_COMMIT, &[], short).await?;
    if let Some(install) = &spec.install {
        let venv = "python -m venv \"$AGENT_SANDBOX/env\"";
        step("make a virtual environment", venv, &[], short).await?;
        let network = HostNetwork::detect();
        let variables = network.variables(network.ca_bundle.as_deref());
        step("install", install, &variables, install_time).await?;
        step("commit what the install command changed", AMEND_COMMIT, &[], short).await?;
    }
    session.keep();
    Box::new(session).close().await;
    Ok(())
}

/// Copies a template's work tree and environment to the directory of a session, and turns paths
/// of the template that the environment holds into the session's.
pub(super) async fn copy(template: &Place, session: &Place) -> Result<(), SandboxError> {
    session.make_directories()?;
    let mut parts = vec![(template.work(), session.work())];
    if template.env().is_dir() {
        parts.push((template.env(), session.env()));
    }
    for (from, to) in parts {
        copy_tree(&from, &to).await?;
    }
    let (from, to) = (template.dir().to_path_buf(), session.dir().to_path_buf());
    let env = session.env();
    tokio::task::spawn_blocking(move || relocate(&env, &from, &to))
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(|source| SandboxError::Io {
            action: "move a virtual environment to its copy".to_owned(),
            source,
        })
}

async fn copy_tree(from: &Path, to: &Path) -> Result<(), SandboxError> {
    let failed = |source| SandboxError::Io {
        action: format!("copy {} to {}", from.display(), to.display()),
        source,
    };
    // Only GNU cp shares blocks; the others refuse the option before they copy anything.
    let mut said = String::new();
    for options in [&["-a", "--reflink=auto"][..], &["-a"]] {
        let output = Command::new("cp")
            .args(options)
            .arg(from.join("."))
            .arg(to)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(failed)?;
        if output.status.success() {
            return Ok(());
        }
        said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(failed(io::Error::other(said)))
}

/// Virtual environments name their own place in scripts, and editable installs that of the work
/// tree; a copy must name its own, or its tests would import the template's unpatched code.
fn relocate(env: &Path, from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (from.to_string_lossy(), to.to_string_lossy());
    let mut directories = vec![env.to_path_buf()];
    while let Some(dir) = directories.pop() {
        if !dir.is_dir() {
            continue;
        }
        let scripts = dir.ends_with("bin");
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() && (scripts || names_paths(&entry.path())) {
                replace_in(&entry.path(), &from, &to)?;
            }
        }
    }
    Ok(())
}

/// Files in which pip, setuptools and venv write absolute paths.
fn names_paths(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == "pyvenv.cfg"
        || name == "direct_url.json"
        || name.ends_with(".pth")
        || name.ends_with(".egg-link")
        || (name.starts_with("__editable__") && name.ends_with(".py"))
}

fn replace_in(path: &Path, from: &str, to: &str) -> io::Result<()> {
    // Compiled programs in `bin` are not text and hold no such path.
    let Ok(text) = fs::read_to_string(path) else { return Ok(()) };
    if text.contains(from) {
        fs::write(path, text.replace(from, to))?;
    }
    Ok(())
}

/// Removes a directory, also one that a test made unreadable. What cannot be removed stays: it
/// lies in the system's temporary directory.
pub(super) fn remove(dir: &Path) {
    if fs::remove_dir_all(dir).is_ok() || !dir.exists() {
        return;
    }
    let mut directories: Vec<PathBuf> = vec![dir.to_path_buf()];
    while let Some(dir) = directories.pop() {
        let _ = fs::set_permissions(&dir, fs::Permissions::from_mode(0o700));
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        directories.extend(
            entries
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
    let _ = fs::remove_dir_all(dir);
}
