//! `build`: a git revision, source archive or folder plus an install command become an image in
//! the SWE-bench contract.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::artifact::InstanceId;
use crate::event::Events;
use crate::images::ImageError;
use crate::images::checkout::{Checkout, Source};
use crate::images::environment::{Environment, Layer};
use crate::images::inventory::{Kind, digest, label, labels};
use crate::images::workshop::{Workshop, step};
use crate::sandbox::HostNetwork;
use crate::sandbox::docker::{Container, Engine, ExecSpec};

const SEAL: &str = include_str!("scripts/seal.sh");
const CHECK: &str = include_str!("scripts/check.sh");

/// An environment variable of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    name: String,
    value: String,
}

/// Text that is no environment variable of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not NAME=VALUE: a name of letters, digits and _, and a value on one line")]
pub struct VariableError(String);

impl std::str::FromStr for Variable {
    type Err = VariableError;

    fn from_str(text: &str) -> Result<Self, VariableError> {
        let error = || VariableError(text.to_owned());
        let (name, value) = text.split_once('=').ok_or_else(error)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named = name.chars().all(fits) && name.starts_with(|c: char| !c.is_ascii_digit());
        if !named || value.contains(['\n', '\r', '\0']) {
            return Err(error());
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

impl Variable {
    /// The Dockerfile instruction; inside of its quotes `\`, `"` and `$` have a meaning.
    fn instruction(&self) -> String {
        let value = self.value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        format!("ENV {}=\"{value}\"", self.name)
    }
}

/// An image to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildRequest {
    /// The instance it is for: labels and messages.
    pub instance: InstanceId,
    /// Name of the image.
    pub image: String,
    /// Where the tree comes from.
    pub source: Source,
    /// The image to start from; the local base image or a public one, if absent.
    pub base: Option<String>,
    /// Environment variables of the image, which the install command sees too.
    pub variables: Vec<Variable>,
    /// Python version such as `3.11`; the base image's, if absent.
    pub python: Option<String>,
    /// pip requirements, installed before the tree; shared between images.
    pub requirements: Vec<String>,
    /// Shell command that installs the tree, run in `/testbed`; nothing is installed if absent.
    pub install: Option<String>,
    /// Builds even if an image made of the same inputs is there.
    pub force: bool,
}

/// A built image.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Its name.
    pub image: String,
    /// Its id.
    pub id: String,
    /// Bytes on disk, shared layers included.
    pub size: u64,
    /// What `HEAD` is in `/testbed`.
    pub base_commit: String,
    /// Whether it was there already.
    pub reused: bool,
    /// Wall time.
    pub seconds: f64,
}

/// Builds the image, or finds that it is there.
///
/// # Errors
/// [`ImageError`]; no image of that name is made then.
pub async fn build(
    request: &BuildRequest,
    engine: &Engine,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Built, ImageError> {
    let source = request.source.clone();
    let checkout = tokio::task::spawn_blocking(move || Checkout::of(&source));
    let checkout = checkout.await.map_err(|error| ImageError::Io {
        action: "read the source".to_owned(),
        source: std::io::Error::other(error),
    })??;
    build_checkout(request, &checkout, engine, events, cancel).await
}

/// [`build`], of a tree that is at hand; `request.source` is not looked at.
pub(crate) async fn build_checkout(
    request: &BuildRequest,
    checkout: &Checkout,
    engine: &Engine,
    events: &Events,
    cancel: &CancellationToken,
) -> Result<Built, ImageError> {
    let begin = Instant::now();
    let network = HostNetwork::detect();
    let workshop = Workshop { engine, cancel, network: Some(&network) };
    let environment = Environment {
        base: request.base.as_deref(),
        python: request.python.as_deref(),
        requirements: &request.requirements,
    };
    let events = events.of(&request.instance);
    let layer = environment.ready(&workshop, &request.instance, &events).await?;
    let commit = checkout.commit().to_string();
    let inputs = inputs(request, &layer, &commit);
    let mut reused = true;
    let present = engine.image(&request.image).await?;
    let fits = present.as_ref().is_some_and(|info| Kind::Instance.is_made_from(info, &inputs));
    if !fits || request.force {
        reused = false;
        events.notice(format!("building {}", request.image));
        let build = Build { request, workshop, checkout, commit: &commit, events: &events };
        workshop
            .with(&layer.image, &request.instance, async |container| {
                build.fill(container).await?;
                let id = request.instance.as_str();
                let more = [("instance", id), ("commit", commit.as_str())];
                let mut changes = labels(Kind::Instance, &inputs, &more);
                changes.push("WORKDIR /testbed".to_owned());
                changes.extend(request.variables.iter().map(Variable::instruction));
                engine.commit(container, &request.image, &changes).await?;
                Ok(())
            })
            .await?;
        // What had the name before: if it was ours it would only take up space from here on.
        if let Some(old) = present.filter(|info| label(info, "inputs").is_some())
            && let Err(error) = engine.remove_image(&old.id).await
        {
            events.notice(format!("the image that {} replaces stays: {error}", request.image));
        }
    }
    let info = engine.image(&request.image).await?.ok_or_else(|| ImageError::Step {
        step: "making the image",
        image: request.image.clone(),
        log: "the engine has no image of that name afterwards".to_owned(),
    })?;
    Ok(Built {
        image: request.image.clone(),
        id: info.id,
        size: info.size,
        base_commit: commit,
        reused,
        seconds: begin.elapsed().as_secs_f64(),
    })
}

/// Images of equal digest are equal as far as it is in our hands.
fn inputs(request: &BuildRequest, layer: &Layer, commit: &str) -> String {
    let mut inputs = serde_json::json!({
        "environment": layer.inputs,
        "commit": commit,
        "install": request.install,
        "scripts": [SEAL, CHECK],
    });
    // Left out if there are none: the digests of images that are here already stay.
    if !request.variables.is_empty() {
        let variables = request.variables.iter().map(Variable::instruction);
        inputs["variables"] = variables.collect();
    }
    digest(&inputs)
}

struct Build<'a> {
    request: &'a BuildRequest,
    workshop: Workshop<'a>,
    checkout: &'a Checkout,
    commit: &'a str,
    events: &'a Events,
}

impl Build<'_> {
    /// Lays out the tree, installs it, tidies up and checks the contract.
    async fn fill(&self, container: &Container) -> Result<(), ImageError> {
        let image = &self.request.image;
        container.upload_tar_file("/testbed", self.checkout.tar()?).await?;
        let lay = ExecSpec::script("git read-tree --reset -u HEAD");
        step(container, &lay, "laying out the tree", image).await?;
        if let Some(install) = &self.request.install {
            self.workshop.trust(container).await?;
            let mut script = self.workshop.script(install);
            for Variable { name, value } in &self.request.variables {
                script = script.env(name, value);
            }
            step(container, &script, "the install command", image).await?;
        }
        let sealed = step(container, &ExecSpec::script(SEAL), "tidying up", image).await?;
        for file in sealed.text().lines().filter_map(|line| line.strip_prefix("restored: ")) {
            self.events.notice(format!(
                "the install command changed {file}, which the base commit tracks: put back"
            ));
        }
        let check = ExecSpec::script(CHECK).env("AGENT_COMMIT", self.commit);
        step(container, &check, "the check of the image contract", image).await?;
        Ok(())
    }
}

/// The base commit that an image of ours says it holds.
#[must_use]
pub fn commit_of(info: &crate::sandbox::docker::ImageInfo) -> Option<&str> {
    label(info, "commit")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::event::EventKind;
    use crate::images::inventory::prune;
    use crate::sandbox::Limits;
    use crate::sandbox::docker::ContainerSpec;
    use crate::sandbox::docker::trial;

    const SETUP: &str = "from setuptools import setup\n\
        setup(name='tiny-tree', version='0.1', packages=['tiny'])\n";

    /// A project with a commit before and a commit after the base.
    fn project(dir: &Path) -> String {
        let git = |args: &[&str]| {
            let identity = ["-c", "user.name=A", "-c", "user.email=a@b.test"];
            let run = Command::new("git").current_dir(dir).args(identity).args(args).output();
            let run = run.unwrap();
            assert!(run.status.success(), "{run:?}");
            String::from_utf8(run.stdout).unwrap().trim().to_owned()
        };
        let write = |path: &str, text: &str| {
            fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            fs::write(dir.join(path), text).unwrap();
        };
        git(&["init", "-q", "-b", "main"]);
        write("setup.py", SETUP);
        write("tiny/__init__.py", "ANSWER = 41\n");
        write("stamp.txt", "never built\n");
        git(&["add", "-A"]);
        git(&["commit", "-qm", "first"]);
        write("tests/test_tiny.py", "import tiny\n\n\ndef test_it():\n    assert tiny.ANSWER\n");
        git(&["add", "-A"]);
        git(&["commit", "-qm", "base"]);
        write("tiny/__init__.py", "ANSWER = 42  # the later answer\n");
        git(&["commit", "-qam", "fix"]);
        git(&["tag", "v2"]);
        git(&["rev-parse", "HEAD^"])
    }

    fn request(dir: &Path, image: &str, install: &str) -> BuildRequest {
        BuildRequest {
            instance: InstanceId::new("tiny__tree-1").unwrap(),
            image: image.to_owned(),
            source: Source::detect(dir, Some("HEAD~1")),
            base: None,
            variables: Vec::new(),
            python: None,
            requirements: Vec::new(),
            install: Some(install.to_owned()),
            force: false,
        }
    }

    /// Output of a script in a fresh container without network, as a grader would run it.
    async fn said(engine: &Engine, image: &str, script: &str) -> String {
        let limits = Limits {
            memory_bytes: 1 << 30,
            pids: 128,
            cpus: 1.0,
            output_bytes: 1 << 20,
            lifetime: Duration::from_secs(120),
        };
        let spec = ContainerSpec::new(image, InstanceId::new("tiny__tree-1").unwrap(), limits);
        let container = engine.create(&spec).await.unwrap();
        let command = ExecSpec::command(&["bash", "-uc", script]);
        let output = container.exec(&ExecSpec { directory: "/testbed".into(), ..command }).await;
        container.remove().await;
        let output = output.unwrap();
        format!("{}({:?})", output.text(), output.status)
    }

    #[tokio::test]
    async fn an_image_of_a_revision_fulfils_the_contract_and_is_built_once() {
        let Some(engine) = trial::engine().await else { return };
        let dir = tempfile::tempdir().unwrap();
        let base = project(dir.path());
        let image = format!("agent/test-build-{}:latest", std::process::id());
        // It leaves build products, oddly named ones too, and changes a tracked file.
        let install = "python setup.py -q develop 2>&1; echo built > stamp.txt; \
            mkdir -p 'out [1]'; touch 'out [1]/x' '#odd' '!bang'; touch /tmp/left; \
            printf %s \"$ODD\" > seen";
        let mut request = request(dir.path(), &image, install);
        let odd = r#"a "b" \c $HOME 'd'=e"#;
        request.variables = vec![format!("ODD={odd}").parse().unwrap()];
        request.base = Some("agent-base:bookworm".to_owned());
        let (events, mut seen) = Events::channel();
        let cancel = CancellationToken::new();
        let built = build(&request, &engine, &events, &cancel).await.unwrap();
        assert_eq!((built.base_commit.as_str(), built.reused), (base.as_str(), false));
        let info = engine.image(&image).await.unwrap().unwrap();
        assert_eq!(commit_of(&info), Some(base.as_str()));

        let ask = async |script: &str| said(&engine, &image, script).await;
        let ok = "(Exited(0))";
        assert_eq!(ask("git rev-parse HEAD").await, format!("{base}\n{ok}"));
        assert_eq!(ask("git log --all --format=%s").await, format!("base\n{ok}"));
        for nothing in [
            "git status --porcelain",
            "git remote",
            "git tag",
            "git stash list",
            "git reflog",
            "git fsck --unreachable --no-reflogs 2>/dev/null",
            "ls -A /tmp",
            "grep -rl 'later answer' . || true",
        ] {
            assert_eq!(ask(nothing).await, ok, "{nothing}");
        }
        assert_eq!(ask("cat stamp.txt").await, format!("never built\n{ok}"));
        assert_eq!(ask("printf %s \"$ODD\"; cat seen").await, format!("{odd}{odd}{ok}"));
        // A harness shows HEAD; without a setting that is the whole tree.
        assert!(!ask("git show").await.contains("ANSWER"));
        let activate = "source /opt/miniconda3/bin/activate && conda activate testbed";
        let used = format!(
            "{activate} && cd / && python -c 'import sys, tiny; print(sys.prefix, tiny.ANSWER, tiny.__file__)'"
        );
        let expected = "/opt/miniconda3/envs/testbed 41 /testbed/tiny/__init__.py\n";
        assert_eq!(ask(&used).await, format!("{expected}{ok}"));
        let programs = "patch --version | head -c 9; type -P kill git bash tail mkdir | wc -l";
        assert_eq!(ask(programs).await, format!("GNU patch5\n{ok}"));
        // The harness gives a command of its own: no entry point may swallow it.
        let arguments = ["run", "--rm", "--network=none", image.as_str(), "pwd"];
        let run = Command::new("docker").args(arguments).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&run.stdout), "/testbed\n", "{run:?}");
        // A model's change is all that git sees.
        let change = "echo x > new.py; git status --porcelain";
        assert_eq!(ask(change).await, format!("?? new.py\n{ok}"));

        assert!(build(&request, &engine, &events, &cancel).await.unwrap().reused);
        let other = BuildRequest { install: Some("true".into()), ..request.clone() };
        let other = build(&other, &engine, &events, &cancel).await.unwrap();
        assert!(!other.reused && other.id != built.id);

        drop(events);
        let mut notices = Vec::new();
        while let Some(event) = seen.recv().await {
            if let EventKind::Notice { message } = event.kind {
                notices.push(message);
            }
        }
        assert!(
            notices.iter().any(|n| n.contains("stamp.txt") && n.contains("put back")),
            "{notices:?}"
        );
        let others = ["agent-base:bookworm".to_owned()];
        assert!(prune(Some(&others), &engine).await.unwrap().removed.is_empty(), "not ours");
        let pruned = prune(Some(std::slice::from_ref(&image)), &engine).await.unwrap();
        assert_eq!(pruned.removed, [image]);
    }

    #[test]
    fn variables_need_a_name_and_one_line() {
        for wrong in ["A", "=x", "1A=x", "A B=x", "A=x\ny"] {
            assert!(wrong.parse::<Variable>().is_err(), "{wrong:?}");
        }
        assert_eq!("A_1=".parse::<Variable>().unwrap().instruction(), "ENV A_1=\"\"");
    }

    #[tokio::test]
    async fn a_base_image_that_is_nowhere_is_named() {
        let Some(engine) = trial::engine().await else { return };
        let dir = tempfile::tempdir().unwrap();
        project(dir.path());
        let mut request = request(dir.path(), "agent/test-base:latest", "true");
        request.base = Some("agent-base:of-no-suite".to_owned());
        let cancel = CancellationToken::new();
        let error = build(&request, &engine, &Events::discard(), &cancel).await.unwrap_err();
        assert!(error.to_string().contains("agent-base:of-no-suite"), "{error}");
    }

    #[tokio::test]
    async fn a_failing_install_shows_its_output_and_leaves_no_image() {
        let Some(engine) = trial::engine().await else { return };
        let dir = tempfile::tempdir().unwrap();
        project(dir.path());
        let image = format!("agent/test-fail-{}:latest", std::process::id());
        let request = request(dir.path(), &image, "echo no compiler here; exit 3");
        let cancel = CancellationToken::new();
        let error = build(&request, &engine, &Events::discard(), &cancel).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("install command") && text.contains("no compiler here"), "{text}");
        assert!(text.contains("exit status 3"), "{text}");
        assert_eq!(engine.image(&image).await.unwrap(), None);

        cancel.cancel();
        let error = build(&request, &engine, &Events::discard(), &cancel).await.unwrap_err();
        assert!(matches!(error, ImageError::Cancelled), "{error}");
    }

    #[tokio::test]
    async fn another_python_than_the_base_has_is_refused_with_a_hint() {
        let Some(engine) = trial::engine().await else { return };
        let dir = tempfile::tempdir().unwrap();
        project(dir.path());
        let mut request = request(dir.path(), "agent/test-python:latest", "true");
        request.python = Some("2.7".to_owned());
        let error = build(&request, &engine, &Events::discard(), &CancellationToken::new())
            .await
            .unwrap_err();
        assert!(matches!(&error, ImageError::Python { wanted, .. } if wanted == "2.7"), "{error}");
        assert!(error.hint().is_some());
    }
}
