//! Where code that a model wrote runs: Docker containers, or a throw-away copy on this machine.

mod capture;
mod config;
mod connect;
pub mod docker;
mod host;
mod local;
mod process;
mod script;

pub use config::{PullPolicy, SandboxConfig};
pub use connect::{Choice, connect};
pub use host::HostNetwork;
pub use local::LocalSandbox;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::artifact::InstanceId;

/// The files of a base commit, for sandboxes that must lay them out themselves.
pub trait TreeSource: Send + Sync {
    /// Digest of the content; equal ids mean equal trees.
    fn id(&self) -> String;

    /// Writes all files below `dir`, which exists and is empty. Never writes outside of it.
    ///
    /// # Errors
    /// Whatever the disk or the object database says.
    fn write_to(&self, dir: &Path) -> io::Result<()>;
}

/// What an instance needs to run.
#[derive(Clone)]
pub struct EnvironmentSpec {
    /// For labels and messages.
    pub instance: InstanceId,
    /// Image with the repository in `/testbed`, if the dataset names one.
    pub image: Option<String>,
    /// The base tree, for when there is no such image.
    pub tree: Arc<dyn TreeSource>,
    /// Command that installs the tree once it is laid out; only used together with `tree`.
    pub install: Option<String>,
}

/// A prepared environment: as many sessions as wanted start from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The instance it was prepared for.
    pub instance: InstanceId,
    /// Image reference to start from (Docker).
    pub image: Option<String>,
    /// Content digest of that image, where the engine knows it.
    pub digest: Option<String>,
    /// Directory to copy from (local).
    pub root: Option<PathBuf>,
    /// Whether sessions find the repository as the image has it, later history included. Only for
    /// graders of finished patches; false after [`Sandbox::prepare`].
    pub as_published: bool,
}

/// Limits of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Memory in bytes; swap is not added.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Cores, fractions allowed.
    pub cpus: f64,
    /// Bytes of output kept of one command; more ends the command.
    pub output_bytes: usize,
    /// Life of the whole session: it ends itself after this, even if nobody closes it.
    pub lifetime: Duration,
}

/// A file to put into a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Path relative to the session's scratch directory.
    pub path: String,
    /// Content.
    pub content: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// A command for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// Bash script. It starts in the work tree, in the activated environment, with standard error
    /// joined to standard output and no standard input.
    pub script: String,
    /// Wall time after which the command and all that it started is ended.
    pub timeout: Duration,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecStatus {
    /// With this exit status (128 + signal for a killed process).
    Exited(i32),
    /// It ran past its time limit.
    TimedOut,
    /// It wrote more than the output limit.
    OutputLimit,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecOutput {
    /// How it ended.
    pub status: ExecStatus,
    /// Its output: everything, or head and tail with a line between that says how much is missing.
    pub output: Vec<u8>,
    /// Wall time of the command.
    pub duration: Duration,
}

impl ExecOutput {
    /// The output as text; invalid UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.output)
    }

    /// Whether it exited with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == ExecStatus::Exited(0)
    }
}

/// What went wrong around (not inside) a sandboxed command. Always an infrastructure failure.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The engine cannot be reached.
    #[error("no container engine answers at {host}")]
    Engine {
        /// Address asked.
        host: String,
        /// The client's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The image is neither here nor to be had.
    #[error("image {image} is not on this machine and cannot be pulled: {detail}")]
    ImageMissing {
        /// Its name.
        image: String,
        /// What the registry or the engine said.
        detail: String,
    },
    /// An engine call failed.
    #[error("cannot {action}")]
    Call {
        /// What was tried, such as `start a container of IMAGE`.
        action: String,
        /// The client's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The session ended (killed, out of time, engine gone) before the command could run.
    #[error("the sandbox of {instance} has ended: {detail}")]
    Ended {
        /// Whose sandbox.
        instance: InstanceId,
        /// Why.
        detail: String,
    },
    /// Preparing the environment failed.
    #[error("cannot prepare the environment of {instance}: {detail}")]
    Setup {
        /// Whose environment.
        instance: InstanceId,
        /// Which step, and the end of its output.
        detail: String,
    },
    /// Files on this machine.
    #[error("cannot {action}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// What the user can do about it; empty where nothing simple mends it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Engine { .. } => {
                "start the Docker daemon, set DOCKER_HOST, or use `--sandbox local` for code that you trust"
            }
            Self::ImageMissing { .. } => {
                "`agent images pull D` fetches a dataset's images, `agent images build packages` makes that \
                 dataset's, and `bash docker/base.sh` the base of images made from a tree"
            }
            _ => "",
        }
    }
}

/// Starts sessions. Implementations: Docker, and the local throw-away copy.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// One or two words for people: `docker` or `local`.
    fn name(&self) -> &'static str;

    /// Makes sure that sessions can be started: finds, pulls or builds the image, or lays out the
    /// tree. Calls for the same environment share the work and may be repeated freely.
    ///
    /// # Errors
    /// [`SandboxError`], always an infrastructure failure.
    async fn prepare(&self, spec: &EnvironmentSpec) -> Result<Environment, SandboxError>;

    /// Starts a session whose work tree equals the base commit.
    ///
    /// # Errors
    /// [`SandboxError`], always an infrastructure failure.
    async fn start(
        &self,
        environment: &Environment,
        limits: &Limits,
    ) -> Result<Box<dyn Session>, SandboxError>;

    /// Copies the git repository of an image's `/testbed` to `into`, bare; for instances whose
    /// repository is nowhere else to be had. `into` is complete or does not exist afterwards.
    ///
    /// # Errors
    /// [`SandboxError::ImageMissing`] when there is no such image, or no images at all.
    async fn export_repository(
        &self,
        _instance: &InstanceId,
        image: &str,
        _into: &Path,
    ) -> Result<(), SandboxError> {
        let detail = format!("the sandbox `{}` has no images", self.name());
        Err(SandboxError::ImageMissing { image: image.to_owned(), detail })
    }

    /// Removes everything that sessions of this process have left; at the end of a run.
    async fn sweep(&self);
}

/// A running sandbox with one work tree.
///
/// A session that has seen [`ExecStatus::TimedOut`] or [`ExecStatus::OutputLimit`] is spent:
/// every later call answers [`SandboxError::Ended`], because only ending the whole sandbox surely
/// ends what a command left behind. Dropping a session ends it as well, without waiting.
#[async_trait]
pub trait Session: Send + Sync {
    /// Absolute path of the repository inside the sandbox.
    fn workdir(&self) -> &str;

    /// Absolute path, outside of the repository, where uploads land.
    fn scratch(&self) -> &str;

    /// Puts files under the scratch directory, making directories as needed, in one call.
    ///
    /// # Errors
    /// [`SandboxError`].
    async fn upload(&self, files: &[Upload]) -> Result<(), SandboxError>;

    /// Runs a command to its end or its limit.
    ///
    /// # Errors
    /// [`SandboxError`] when the command could not be run; a failing command is not an error.
    async fn exec(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError>;

    /// Ends the session and waits until nothing of it is left.
    async fn close(self: Box<Self>);
}
