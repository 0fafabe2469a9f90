//! A tiny project and what its tests need to be evaluated in a real sandbox.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::artifact::{Instance, Prediction, Rules};
use crate::dataset::commit::{CommitFile, commit_id};
use crate::dataset::{Dataset, sample};
use crate::evaluate::{EvaluateConfig, Evaluation, Predictions, RunReport, SpecError, evaluate};
use crate::event::Events;
use crate::sandbox::{
    Choice, EnvironmentSpec, Limits, LocalSandbox, Sandbox, SandboxConfig, TreeSource, connect,
};

pub(super) const CORE: &str =
    "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a * 2\n";
pub(super) const FIXED: &str =
    "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n";
const TESTS: &str = "import unittest\n\nfrom adder.core import double\n\n\n\
                     class CoreTest(unittest.TestCase):\n    def test_double(self):\n        \
                     self.assertEqual(double(4), 8)\n";
const GOLD_TESTS: &str = "import unittest\n\nfrom adder.core import add, double\n\n\n\
                          class CoreTest(unittest.TestCase):\n    def test_add(self):\n        \
                          self.assertEqual(add(1, 2), 3)\n\n    def test_double(self):\n        \
                          self.assertEqual(double(4), 8)\n";

/// A git diff of one file.
pub(super) fn diff(path: &str, old: &str, new: &str) -> String {
    let text = TextDiff::from_lines(old, new);
    let hunks = text.unified_diff().header(&format!("a/{path}"), &format!("b/{path}")).to_string();
    format!("diff --git a/{path} b/{path}\n{hunks}")
}

/// A change of the module.
pub(super) fn core(new: &str) -> String {
    diff("adder/core.py", CORE, new)
}

/// A change of the test file that is there at the base.
pub(super) fn tests(new: &str) -> String {
    diff("tests/test_core.py", TESTS, new)
}

/// The gold tests.
pub(super) fn test_patch() -> String {
    tests(GOLD_TESTS)
}

fn project() -> Files {
    let files = [
        ("adder/__init__.py", ""),
        ("adder/core.py", CORE),
        ("tests/__init__.py", ""),
        ("tests/test_core.py", TESTS),
    ];
    Files(files.map(|(path, content)| (path.to_owned(), content.into())).to_vec())
}

struct Files(Vec<(String, Vec<u8>)>);

impl TreeSource for Files {
    fn id(&self) -> String {
        let files = self.0.iter().map(|(path, content)| CommitFile::regular(path, &content[..]));
        commit_id(files).unwrap().to_string()
    }

    fn write_to(&self, dir: &Path) -> io::Result<()> {
        for (path, content) in &self.0 {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap())?;
            fs::write(path, content)?;
        }
        Ok(())
    }
}

/// The project's environment, made from its tree.
pub(super) fn environment(instance: &Instance) -> Result<EnvironmentSpec, SpecError> {
    Ok(spec(instance, project()))
}

/// The environment of a bundled sample.
pub(super) fn sample_environment(instance: &Instance) -> Result<EnvironmentSpec, SpecError> {
    let files = sample::files(&instance.id).map(|(path, content)| (path, content.to_vec()));
    Ok(spec(instance, Files(files.collect())))
}

fn spec(instance: &Instance, files: Files) -> EnvironmentSpec {
    let id = instance.id.clone();
    EnvironmentSpec { instance: id, image: None, tree: Arc::new(files), install: None }
}

/// A row of the project; `change` may alter it.
pub(super) fn row(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut row = json!({
        "instance_id": id, "repo": "trial/adder", "problem_statement": "add() subtracts",
        "base_commit": project().id(), "patch": core(FIXED), "test_patch": test_patch(),
        "FAIL_TO_PASS": ["test_add (tests.test_core.CoreTest)"],
        "PASS_TO_PASS": ["test_double (tests.test_core.CoreTest.test_double)"],
        "test_command": "python3 -m unittest -v", "log_format": "unittest",
        "test_directives": ["tests.test_core"],
    });
    change(&mut row);
    row
}

/// An evaluation of the project.
pub(super) struct Trial {
    dir: TempDir,
    pub(super) dataset: Dataset,
    pub(super) config: EvaluateConfig,
    pub(super) cancel: CancellationToken,
}

impl Trial {
    pub(super) fn new(rows: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.json");
        fs::write(&path, json!(rows).to_string()).unwrap();
        Self { dir, ..Self::of(Dataset::load(&path).unwrap()) }
    }

    /// An evaluation of any dataset.
    pub(super) fn of(dataset: Dataset) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = EvaluateConfig {
            timeout: Duration::from_secs(120),
            step_timeout: Duration::from_secs(120),
            limits: Limits {
                memory_bytes: 512 << 20,
                pids: 64,
                cpus: 2.0,
                output_bytes: 1 << 20,
                lifetime: Duration::from_secs(60),
            },
            jobs: 2,
            rules: Rules::Ours,
            again: Vec::new(),
        };
        Self { dir, dataset, config, cancel: CancellationToken::new() }
    }

    pub(super) fn out(&self) -> std::path::PathBuf {
        self.dir.path().join("out")
    }

    pub(super) fn file(&self, id: &str, name: &str) -> Option<String> {
        fs::read_to_string(self.out().join(id).join(name)).ok()
    }

    pub(super) async fn run(
        &self,
        sandbox: &dyn Sandbox,
        patches: &[(&str, String)],
        environment: impl Fn(&Instance) -> Result<EnvironmentSpec, SpecError> + Send + Sync,
    ) -> RunReport {
        let predictions = patches.iter().map(|(id, patch)| Prediction {
            instance_id: id.parse().unwrap(),
            model_name_or_path: "trial".to_owned(),
            model_patch: patch.clone(),
        });
        let predictions = Predictions::of(predictions);
        let out = self.out();
        let evaluation = Evaluation {
            sandbox,
            dataset: &self.dataset,
            config: &self.config,
            out: &out,
            events: &Events::discard(),
            cancel: &self.cancel,
        };
        sendable(evaluate(&evaluation, &predictions, environment)).await.unwrap()
    }
}

/// Callers spawn evaluations, so their future must be free to move between threads.
fn sendable<T: Send>(future: T) -> T {
    future
}

pub(super) fn local() -> LocalSandbox {
    LocalSandbox::new(SandboxConfig::default(), Events::discard()).unwrap()
}

/// Docker, where it answers; a line says where it does not.
pub(super) async fn docker() -> Option<Arc<dyn Sandbox>> {
    let config = SandboxConfig::default();
    match connect(Choice::Docker, config, "evaluate-trial", Events::discard()).await {
        Ok((sandbox, _)) => Some(sandbox),
        Err(error) => {
            let line = format!("skipped, needs Docker: {error}\n");
            let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
            None
        }
    }
}
