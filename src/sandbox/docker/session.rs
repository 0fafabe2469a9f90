//! [`Sandbox`] over containers: environments are images, a session is a fresh container.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::artifact::{InstanceId, Leak, LeakAction, LeakReport};
use crate::event::Events;
use crate::sandbox::config::LeakPolicy;
use crate::sandbox::docker::engine::is_transient;
use crate::sandbox::docker::shell::{Ran, Shell};
use crate::sandbox::docker::tree_image::TREE_LABEL;
use crate::sandbox::docker::{Container, ContainerSpec, Engine, ExecSpec};
use crate::sandbox::script::{TESTBED, check_script};
use crate::sandbox::{
    Environment, EnvironmentSpec, ExecOutput, ExecRequest, ExecStatus, Limits, PullPolicy, Sandbox,
    SandboxConfig, SandboxError, Session, Upload,
};

const SCRATCH: &str = "/tmp/agent";

/// Waits between attempts of a pull that failed for a passing reason.
const PULL_WAITS: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(15)];

/// Sessions in containers.
pub struct DockerSandbox {
    pub(super) engine: Engine,
    pub(super) config: SandboxConfig,
    events: Events,
    /// One cell an environment, so that calls at the same time share the work.
    prepared: Mutex<HashMap<String, Arc<OnceCell<Prepared>>>>,
}

#[derive(Clone)]
struct Prepared {
    image: String,
    digest: Option<String>,
    leaks: Option<LeakReport>,
}

impl DockerSandbox {
    /// On an engine that answers. Containers of processes that have ended on this machine are
    /// removed first.
    ///
    /// # Errors
    /// [`SandboxError`] if the engine does not answer any more.
    pub async fn new(
        engine: Engine,
        config: SandboxConfig,
        events: Events,
    ) -> Result<Self, SandboxError> {
        let swept = engine.sweep(false).await?;
        if swept > 0 {
            events.notice(format!("removed {swept} containers that an ended process had left"));
        }
        Ok(Self { engine, config, events, prepared: Mutex::default() })
    }

    /// The engine in use.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Pulls an image, with a few attempts where the cause may pass.
    pub(super) async fn pull(
        &self,
        instance: &InstanceId,
        reference: &str,
    ) -> Result<(), SandboxError> {
        if self.config.pull == PullPolicy::Never {
            return Err(SandboxError::ImageMissing {
                image: reference.to_owned(),
                detail: "sandbox.pull is `never`".to_owned(),
            });
        }
        let events = self.events.of(instance);
        events.notice(format!("pulling image {reference}"));
        let mut waits = PULL_WAITS.iter();
        loop {
            match self.engine.pull(reference, &|_| {}).await {
                Err(SandboxError::ImageMissing { image, detail }) if is_transient(&detail) => {
                    let Some(wait) = waits.next() else {
                        return Err(SandboxError::ImageMissing { image, detail });
                    };
                    events.notice(format!("pulling {reference} again after: {detail}"));
                    tokio::time::sleep(*wait).await;
                }
                done => return done,
            }
        }
    }

    async fn prepare_once(&self, spec: &EnvironmentSpec) -> Result<Prepared, SandboxError> {
        let image = match &spec.image {
            Some(image) => {
                if self.engine.image(image).await?.is_none() {
                    self.pull(&spec.instance, image).await?;
                }
                image.clone()
            }
            None => self.tree_image(spec).await?,
        };
        let info = self.engine.image(&image).await?.ok_or_else(|| SandboxError::ImageMissing {
            image: image.clone(),
            detail: "it was here a moment ago and is gone".to_owned(),
        })?;
        if spec.as_published || info.labels.contains_key(TREE_LABEL) {
            // An image of our own has one commit and nothing else.
            return Ok(Prepared {
                digest: Some(info.digest.unwrap_or(info.id)),
                image,
                leaks: None,
            });
        }
        let base = spec.base_commit.as_deref();
        let (sealed, report) = self.sealed(&spec.instance, &image, &info, base).await?;
        let events = self.events.of(&spec.instance);
        let summary = report.summary();
        if let Some(leak) = refused(&report, self.config.leaks) {
            return Err(SandboxError::Leaks { image, found: leak.detail.clone(), summary });
        }
        if !summary.is_empty() {
            events.notice(format!("leak guard, {image}: {summary}"));
        }
        Ok(Prepared {
            digest: Some(info.digest.unwrap_or(info.id)),
            image: sealed,
            leaks: Some(report),
        })
    }

    pub(super) fn container_spec(
        &self,
        image: &str,
        instance: &InstanceId,
        limits: &Limits,
    ) -> ContainerSpec {
        let mut spec = ContainerSpec::new(image, instance.clone(), limits.clone());
        self.config.network.clone_into(&mut spec.network);
        self.config.capabilities.clone_into(&mut spec.capabilities);
        spec.shm_bytes = self.config.shm_mib << 20;
        spec.open_files = self.config.open_files;
        spec.file_bytes = self.config.file_mib << 20;
        spec
    }
}

impl DockerSandbox {
    /// Starts a session, see [`Sandbox::start`].
    pub(super) async fn begin(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<DockerSession, SandboxError> {
        let instance = &environment.instance;
        let Some(image) = &environment.image else { return Err(environment.foreign()) };
        let container = self.engine.create(&self.container_spec(image, instance, limits)).await?;
        Ok(DockerSession {
            container,
            output_bytes: limits.output_bytes,
            offline: self.config.network == "none",
            spent: AtomicBool::new(false),
            closed: false,
            shell: tokio::sync::Mutex::default(),
        })
    }
}

/// What an image is refused for.
fn refused(report: &LeakReport, policy: LeakPolicy) -> Option<&Leak> {
    report.visible().find(|leak| match policy {
        LeakPolicy::Warn => false,
        LeakPolicy::Refuse => true,
        // Nothing can take away the commits that HEAD is made of.
        LeakPolicy::Remove => leak.kind == "head" && leak.action == LeakAction::Kept,
    })
}

#[async_trait]
impl Sandbox for DockerSandbox {
    fn name(&self) -> &'static str {
        "docker"
    }

    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError> {
        let key = match &spec.image {
            Some(image) => {
                format!("image {image} {:?} {}", spec.base_commit, spec.as_published)
            }
            None => format!("tree {} {}", spec.tree.id(), spec.install.as_deref().unwrap_or("")),
        };
        let cell = {
            let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(prepared.entry(key).or_default())
        };
        let prepared = cell.get_or_try_init(|| self.prepare_once(spec)).await?.clone();
        Ok(Environment {
            instance: spec.instance.clone(),
            image: Some(prepared.image),
            digest: prepared.digest,
            root: None,
            origin: None,
            leaks: prepared.leaks,
        })
    }

    async fn start(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<Box<dyn Session>, SandboxError> {
        Ok(Box::new(self.begin(environment, limits).await?))
    }

    async fn export_repository(
        &self,
        instance: &InstanceId,
        image: &str,
        into: &Path,
    ) -> Result<(), SandboxError> {
        if self.engine.image(image).await?.is_none() {
            self.pull(instance, image).await?;
        }
        let limits = self.config.limits();
        let container = self.engine.create(&self.container_spec(image, instance, &limits)).await?;
        let copied = crate::sandbox::docker::repository::copy(&container, into).await;
        container.remove().await;
        copied
    }

    async fn sweep(&self) {
        // What cannot be removed now ends itself when its life is over.
        let _ = self.engine.sweep(true).await;
    }
}

/// One container.
pub(super) struct DockerSession {
    container: Container,
    output_bytes: usize,
    offline: bool,
    spent: AtomicBool,
    closed: bool,
    /// Taken out while it works, so that one whose work was given up is not used again.
    shell: tokio::sync::Mutex<Option<Shell>>,
}

impl DockerSession {
    pub(super) fn container(&self) -> &Container {
        &self.container
    }

    /// Whether a command ran into its limit.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// How a request's command is run.
    fn spec(&self, script: &str) -> ExecSpec {
        let mut spec = ExecSpec::script(script).activated();
        spec.output_bytes = self.output_bytes;
        if self.offline {
            // Without them pip retries for a minute before it fails; `0` is how it spells that
            // builds use what is installed.
            spec = spec.env("PIP_NO_INDEX", "1").env("PIP_NO_BUILD_ISOLATION", "0");
        }
        spec
    }

    fn check(&self) -> Result<(), SandboxError> {
        if self.is_spent() {
            return Err(SandboxError::Ended {
                instance: self.container.instance().clone(),
                detail: "a command ran into its limit, and the sandbox was ended with it"
                    .to_owned(),
            });
        }
        Ok(())
    }
}

#[async_trait]
impl Session for DockerSession {
    fn workdir(&self) -> &str {
        TESTBED
    }

    fn scratch(&self) -> &str {
        SCRATCH
    }

    async fn upload(&self, files: &[Upload]) -> Result<(), SandboxError> {
        self.check()?;
        // From the root, because an earlier command may have removed the scratch directory.
        let paths: Vec<String> =
            files.iter().map(|file| format!("{}/{}", &SCRATCH[1..], file.path)).collect();
        let entries: Vec<(&str, &[u8], bool)> = files
            .iter()
            .zip(&paths)
            .map(|(file, path)| (path.as_str(), file.content.as_slice(), file.executable))
            .collect();
        self.container.upload("/", &entries).await
    }

    async fn exec(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError> {
        self.check()?;
        check_script(&request.script)?;
        let spec = self.spec(&request.script).timeout(request.timeout);
        let output = self.container.exec(&spec).await?;
        if !matches!(output.status, ExecStatus::Exited(_)) {
            self.spent.store(true, Ordering::Release);
        }
        Ok(output)
    }

    async fn exec_next(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError> {
        self.check()?;
        check_script(&request.script)?;
        let mut kept = self.shell.lock().await;
        // A second shell for a script that the first, ended by what ran before, did not begin.
        for _ in 0..2 {
            let mut shell = match kept.take() {
                Some(shell) => shell,
                None => self.container.shell(self.spec("")).await?,
            };
            let ran =
                shell.run(&self.container, &request.script, request.timeout, self.output_bytes);
            match ran.await? {
                Ran::Done(output) => {
                    *kept = Some(shell);
                    return Ok(output);
                }
                Ran::Last(output) => {
                    if !matches!(output.status, ExecStatus::Exited(_)) {
                        self.spent.store(true, Ordering::Release);
                    }
                    return Ok(output);
                }
                Ran::Never => {}
            }
        }
        drop(kept);
        self.exec(request).await
    }

    async fn close(mut self: Box<Self>) {
        self.closed = true;
        self.container.remove().await;
    }
}

impl Drop for DockerSession {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        // Outside of a runtime the container's own life and the next sweep bound it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let container = self.container.clone();
            runtime.spawn(async move { container.remove().await });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::docker::trial;

    const SECOND: Duration = Duration::from_secs(1);

    async fn sandbox(engine: &Engine, run: &str) -> DockerSandbox {
        let config = SandboxConfig { pull: PullPolicy::Never, ..SandboxConfig::default() };
        DockerSandbox::new(engine.clone().for_run(run), config, Events::discard()).await.unwrap()
    }

    async fn said(session: &dyn Session, script: &str) -> String {
        let request = ExecRequest { script: script.to_owned(), timeout: 60 * SECOND };
        session.exec(&request).await.unwrap().text().into_owned()
    }

    #[tokio::test]
    async fn a_tree_becomes_an_image_once_with_one_commit() {
        let Some(engine) = trial::engine().await else { return };
        let sandbox = sandbox(&engine, "tree").await;
        let marker = format!("tree {}", std::process::id());
        let install = "python -c 'import sys; print(sys.prefix)' > kept.log";
        let spec = trial::spec(&marker, Some(install));
        let (one, two) = tokio::join!(sandbox.prepare(&spec), sandbox.prepare(&spec));
        let environment = one.unwrap();
        assert_eq!(environment, two.unwrap());
        let image = environment.image.clone().unwrap();
        let made = engine.image(&image).await.unwrap().unwrap();

        let session = sandbox.start(&environment, &trial::limits()).await.unwrap();
        let git = "git rev-list --all --count; git log -1 --format='%an %at %P'; git status --porcelain; git remote; git tag; ls .git/logs 2>&1 | wc -l; git fsck --unreachable --no-reflogs 2>/dev/null";
        let git = said(&*session, git).await;
        assert_eq!(git, "1\nagent 946684800 \n1\n");
        let installed = said(&*session, "cat kept.log; which python; cat docs/odd*; ls /tmp").await;
        let env = "/opt/miniconda3/envs/testbed";
        assert_eq!(installed, format!("{env}\n{env}/bin/python\n{marker}agent\n"));
        session.close().await;

        let again = self::sandbox(&engine, "tree").await.prepare(&spec).await.unwrap();
        assert_eq!(again, environment, "a later process finds the image");
        assert_eq!(engine.image(&image).await.unwrap().unwrap(), made);
        engine.remove_image(&image).await.unwrap();
    }

    #[tokio::test]
    async fn a_public_image_gets_what_it_lacks_of_the_contract() {
        let Some(engine) = trial::engine().await else { return };
        let public = format!("agent-trial:public-{}", std::process::id());
        let container = trial::container(&engine).await;
        let strip = "rm -rf /opt/miniconda3 /testbed /etc/gitconfig";
        container.exec(&ExecSpec::script(strip).in_directory("/")).await.unwrap();
        engine.commit(&container, &public, &["ENTRYPOINT [\"false\"]".to_owned()]).await.unwrap();
        container.remove().await;
        let config = SandboxConfig {
            base_image: "agent-trial:no-base".to_owned(),
            public_base: public.clone(),
            pull: PullPolicy::Never,
            ..SandboxConfig::default()
        };
        let sandbox = DockerSandbox::new(engine.clone(), config, Events::discard()).await.unwrap();
        let environment = sandbox.prepare(&trial::spec("public", None)).await.unwrap();
        let session = sandbox.start(&environment, &trial::limits()).await.unwrap();
        // As SWE-bench's eval scripts do it, under `set -u`, on top of the session's own.
        let script = "set -eu; source /opt/miniconda3/bin/activate; conda activate testbed
            which python; echo $CONDA_DEFAULT_ENV $VIRTUAL_ENV; conda activate no-such 2>&1 || echo no
            tr : '\\n' <<< $PATH | grep -c testbed";
        let env = "/opt/miniconda3/envs/testbed";
        let expected = format!(
            "{env}/bin/python\ntestbed {env}\n\
             EnvironmentNameNotFound: Could not find conda environment: no-such\nno\n1\n"
        );
        assert_eq!(said(&*session, script).await, expected);
        session.close().await;
        engine.remove_image(&environment.image.unwrap()).await.unwrap();
        engine.remove_image(&public).await.unwrap();
    }

    #[tokio::test]
    async fn a_failing_install_command_says_so_and_leaves_nothing() {
        let Some(engine) = trial::engine().await else { return };
        let sandbox = sandbox(&engine, "install").await;
        let spec = trial::spec("broken", Some("echo the cause; exit 3"));
        let error = sandbox.prepare(&spec).await.unwrap_err().to_string();
        assert!(error.contains("install: exit status 3") && error.contains("the cause"), "{error}");
    }

    #[tokio::test]
    async fn sessions_are_fresh_and_end_with_their_limits() {
        let Some(engine) = trial::engine().await else { return };
        let sandbox = sandbox(&engine, "fresh").await;
        let environment = sandbox.prepare(&trial::spec("fresh", None)).await.unwrap();
        let session = sandbox.start(&environment, &trial::limits()).await.unwrap();
        let files: Vec<Upload> = (0..300)
            .map(|i| Upload {
                path: format!("deep/{i}/it's \"odd\" \u{e9} $x\n{}.sh", "n".repeat(120)),
                content: format!("echo {i}").into_bytes(),
                executable: i == 7,
            })
            .collect();
        session.upload(&files).await.unwrap();
        let listed = "cd /tmp/agent/deep; find . -type f | wc -l; ls | wc -l; ./7/*.sh; ls -l 8 | grep -c x-";
        // One line of a name with a line break, so `find` counts 600.
        assert_eq!(said(&*session, listed).await, "600\n300\n7\n0\n");
        let outside = Upload { path: "../x".to_owned(), content: vec![], executable: false };
        assert!(session.upload(&[outside]).await.is_err());

        said(&*session, "rm -rf /testbed /tmp/agent").await;
        let request = ExecRequest { script: "echo on".to_owned(), timeout: 9 * SECOND };
        assert_eq!(session.exec(&request).await.unwrap().status, ExecStatus::Exited(1));
        session.upload(&files[..1]).await.unwrap();
        session.close().await;

        let session = sandbox.start(&environment, &trial::limits()).await.unwrap();
        assert_eq!(said(&*session, "git status --porcelain; ls /tmp/agent").await, "");
        let request = ExecRequest { script: "sleep 30".to_owned(), timeout: SECOND };
        assert_eq!(session.exec(&request).await.unwrap().status, ExecStatus::TimedOut);
        assert!(matches!(session.exec(&request).await, Err(SandboxError::Ended { .. })));
        assert!(matches!(session.upload(&[]).await, Err(SandboxError::Ended { .. })));
        session.close().await;
        engine.remove_image(&environment.image.unwrap()).await.unwrap();
    }

    #[tokio::test]
    async fn an_image_that_cannot_be_had_is_named_with_the_way_out() {
        let Some(engine) = trial::engine().await else { return };
        let sandbox = sandbox(&engine, "missing").await;
        let image = Some("agent-trial:never-made".to_owned());
        let spec = EnvironmentSpec { image, ..trial::spec("missing", None) };
        let error = sandbox.prepare(&spec).await.unwrap_err();
        assert!(matches!(error, SandboxError::ImageMissing { .. }), "{error}");
        let spec =
            EnvironmentSpec { image: Some(trial::BASE.to_owned()), ..trial::spec("bare", None) };
        let error = sandbox.prepare(&spec).await.err().unwrap().to_string();
        assert!(error.contains("/testbed is no repository with a commit"), "{error}");
        let absent = ContainerSpec::new("agent-trial:no", trial::instance(), trial::limits());
        let created = engine.create(&absent).await;
        assert!(matches!(created.err(), Some(SandboxError::ImageMissing { .. })));
    }

    #[tokio::test]
    async fn a_dropped_session_ends_its_container() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let session = DockerSession {
            container: container.clone(),
            output_bytes: 1,
            offline: true,
            spent: AtomicBool::new(false),
            closed: false,
            shell: tokio::sync::Mutex::default(),
        };
        drop(session);
        for _ in 0..100 {
            if !container.is_running().await.unwrap() {
                return;
            }
            tokio::time::sleep(SECOND / 10).await;
        }
        panic!("it still runs");
    }
}
