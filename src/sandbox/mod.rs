//! Where code that a model wrote runs: Docker containers, or a throw-away copy on this machine.

mod capture;
mod config;
mod connect;
pub mod docker;
mod host;
mod local;
mod process;
mod retake;
mod script;

pub use config::{LeakPolicy, PullPolicy, SandboxConfig};
pub use connect::{Choice, connect, remove_leftovers};
pub use host::HostNetwork;
pub use local::LocalSandbox;
pub(crate) use process::{is_gone, process_label};
pub use retake::Retakes;

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::artifact::{EnvironmentRecord, InstanceId, LeakReport};

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
    /// The commit that the image's HEAD must be, or have as its parent; unchecked if absent.
    pub base_commit: Option<String>,
    /// Whether sessions find the image as it was published, later history included: the leak guard
    /// leaves it alone. Only for graders of finished patches.
    pub as_published: bool,
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
    /// What it was prepared from, where it may have to be prepared again (several hosts).
    pub origin: Option<Origin>,
    /// What the image held beside and after the base commit; absent for one made from its tree.
    pub leaks: Option<LeakReport>,
}

impl Environment {
    /// What a sandbox says to one that it has not prepared.
    fn foreign(&self) -> SandboxError {
        SandboxError::Setup {
            instance: self.instance.clone(),
            detail: "it was prepared by another kind of sandbox".to_owned(),
        }
    }

    /// For the files of a run. `sandbox` is the sandbox's name.
    #[must_use]
    pub fn record(&self, sandbox: &str) -> EnvironmentRecord {
        EnvironmentRecord {
            sandbox: if self.root.is_some() { "local" } else { sandbox }.to_owned(),
            image: self.image.clone(),
            digest: self.digest.clone(),
            leaks: self.leaks.clone(),
        }
    }
}

/// What an environment was prepared from.
#[derive(Clone)]
pub struct Origin(Arc<EnvironmentSpec>);

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({})", self.0.instance)
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Origin {}

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
    /// Whether a process of it was ended because the session's memory was used up.
    pub out_of_memory: bool,
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
    /// One of several hosts was lost while something ran on it: the whole may be done again, and
    /// will find another host. See [`Retakes`].
    #[error("the container host {host} was lost")]
    HostLost {
        /// Its address.
        host: String,
        /// Whether the host is surely the cause; else only the sandbox is gone, which a host that
        /// is being shut down does to it as well.
        certain: bool,
        /// What was seen of it.
        #[source]
        source: Box<SandboxError>,
    },
    /// Preparing the environment failed.
    #[error("cannot prepare the environment of {instance}: {detail}")]
    Setup {
        /// Whose environment.
        instance: InstanceId,
        /// Which step, and the end of its output.
        detail: String,
    },
    /// The image holds what came after the base commit, and `sandbox.leaks` forbids that.
    #[error("image {image} is refused by the leak guard: {found} (all: {summary})")]
    Leaks {
        /// Its name.
        image: String,
        /// What it is refused for.
        found: String,
        /// All that was found.
        summary: String,
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
                "start the Docker daemon, set DOCKER_HOST or --docker-host, or use `--sandbox local` for code that you trust"
            }
            Self::ImageMissing { .. } => {
                "`agent images pull D` fetches a dataset's images, `agent images build packages` makes that \
                 dataset's, and `bash docker/base.sh` the base of images made from a tree"
            }
            Self::Leaks { .. } => {
                "use an image of the base commit, or `--set sandbox.leaks=warn` if the image is as you want it"
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

    /// How many sessions can work at the same time, where several hosts were given to choose from;
    /// else it is the user's choice.
    fn slots(&self) -> Option<NonZeroUsize> {
        None
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

    /// Where several hosts are in use: permits to work on this session's host. Whoever works in the
    /// session for long holds one of them.
    fn turns(&self) -> Option<Arc<Semaphore>> {
        None
    }

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

    /// As [`Session::exec`], for commands that follow one another closely: they may share a process
    /// and so begin at once. They share neither directory nor variables. What an earlier one left
    /// running may print into a later one's output; a session is for one subject.
    ///
    /// # Errors
    /// As [`Session::exec`].
    async fn exec_next(&self, request: &ExecRequest) -> Result<ExecOutput, SandboxError> {
        self.exec(request).await
    }

    /// Ends the session and waits until nothing of it is left.
    async fn close(self: Box<Self>);
}
