//! [`Sandbox`] over directories: environments are templates, a session is a copy of one.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::event::Events;
use crate::sandbox::local::processes::kill_marked;
use crate::sandbox::local::session::{LocalSession, Place, on_path};
use crate::sandbox::local::template;
use crate::sandbox::process::{is_gone, process_label};
use crate::sandbox::{
    Environment, EnvironmentSpec, Limits, Sandbox, SandboxConfig, SandboxError, Session,
};

const PREFIX: &str = "agent-local-";

/// File in our directory that names the process it belongs to.
const OWNER: &str = "owner";

/// Sessions in throw-away directories below the system's temporary directory.
pub struct LocalSandbox {
    config: SandboxConfig,
    root: TempDir,
    next: AtomicU64,
    /// One cell an environment, so that calls at the same time share the work.
    prepared: Mutex<HashMap<String, Arc<OnceCell<PathBuf>>>>,
}

impl LocalSandbox {
    /// Directories and processes that sandboxes of ended processes left are removed first.
    ///
    /// # Errors
    /// [`SandboxError::Io`] if no directory can be made.
    pub fn new(config: SandboxConfig, events: Events) -> Result<Self, SandboxError> {
        Self::new_in(&std::env::temp_dir(), config, &events)
    }

    fn new_in(parent: &Path, config: SandboxConfig, events: &Events) -> Result<Self, SandboxError> {
        let removed = remove_stale(parent);
        if removed > 0 {
            events.notice(format!("removed {removed} directories that an ended process had left"));
        }
        let root = make_root(parent).map_err(|source| SandboxError::Io {
            action: format!("make a directory for sandboxes in {}", parent.display()),
            source,
        })?;
        Ok(Self { config, root, next: AtomicU64::new(0), prepared: Mutex::default() })
    }

    /// A place for a template (`t`) or a session (`s`). All have paths of one length.
    fn place(&self, kind: char) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let root = self.root.path();
        Place::new(root.join(format!("{kind}{number:08}")), root.join("bin"))
    }

    async fn prepare_once(&self, spec: &EnvironmentSpec) -> Result<PathBuf, SandboxError> {
        let place = self.place('t');
        let limits = self.config.install_limits();
        let time = Duration::from_secs(self.config.install_seconds);
        template::lay_out(&place, spec, &limits, time).await?;
        Ok(place.dir().to_path_buf())
    }
}

/// Our directory, with our name in it and a `python` for machines that have only `python3`.
fn make_root(parent: &Path) -> io::Result<TempDir> {
    let root = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
    fs::write(root.path().join(OWNER), process_label(std::process::id()))?;
    let bin = root.path().join("bin");
    fs::create_dir(&bin)?;
    if on_path("python").is_none()
        && let Some(python) = on_path("python3")
    {
        symlink(python, bin.join("python"))?;
    }
    Ok(root)
}

/// Ends and removes what sandboxes of ended processes left in `parent`.
fn remove_stale(parent: &Path) -> usize {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let stale = entries.filter(|entry| {
        entry.file_name().to_string_lossy().starts_with(PREFIX)
            && fs::read_to_string(entry.path().join(OWNER)).is_ok_and(|owner| is_gone(&owner))
    });
    let mut removed = 0;
    for entry in stale {
        kill_marked(&entry.path());
        template::remove(&entry.path());
        removed += usize::from(!entry.path().exists());
    }
    removed
}

#[async_trait]
impl Sandbox for LocalSandbox {
    fn name(&self) -> &'static str {
        "local"
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        let key = format!("{} {}", spec.tree.id(), spec.install.as_deref().unwrap_or(""));
        let cell = {
            let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(prepared.entry(key).or_default())
        };
        let root = cell.get_or_try_init(|| self.prepare_once(spec)).await?;
        Ok(Environment {
            instance: spec.instance.clone(),
            image: None,
            digest: None,
            root: Some(root.clone()),
        })
    }

    async fn start(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<Box<dyn Session>, SandboxError> {
        let instance = environment.instance.clone();
        let Some(root) = &environment.root else {
            return Err(SandboxError::Setup {
                instance,
                detail: "it was prepared by another kind of sandbox".to_owned(),
            });
        };
        let template = Place::new(root.clone(), self.root.path().join("bin"));
        let place = self.place('s');
        // Made first, so that a copy that fails half-way is removed with it.
        let session = LocalSession::new(place.clone(), instance, limits.clone());
        template::copy(&template, &place).await?;
        Ok(Box::new(session))
    }

    async fn sweep(&self) {
        let root = self.root.path().to_path_buf();
        let swept = tokio::task::spawn_blocking(move || {
            kill_marked(&root);
            for entry in fs::read_dir(&root).into_iter().flatten().flatten() {
                if entry.file_name().to_string_lossy().starts_with('s') {
                    template::remove(&entry.path());
                }
            }
        });
        // It fails only when the runtime is being shut down; the next start removes the rest.
        let _ = swept.await;
    }
}

impl Drop for LocalSandbox {
    fn drop(&mut self) {
        kill_marked(self.root.path());
    }
}
