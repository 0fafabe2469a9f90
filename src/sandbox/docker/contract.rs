//! The parts of the SWE-bench image contract that do not depend on a project, as scripts that are
//! compiled in (`docker/README.md` says what they provide).

use crate::sandbox::SandboxError;
use crate::sandbox::docker::{Container, ExecSpec};

/// `docker/contract.sh`: run as root inside a root file system, with [`CONDA_ACTIVATE`] beside it
/// under the name `conda-activate.sh`.
pub const CONTRACT: &str = include_str!("../../../docker/contract.sh");

/// `docker/conda-activate.sh`: becomes `/opt/miniconda3/bin/activate`.
pub const CONDA_ACTIVATE: &str = include_str!("../../../docker/conda-activate.sh");

impl Container {
    /// Makes this container's file system fulfil the contract. May be repeated.
    ///
    /// # Errors
    /// [`SandboxError::Setup`] if the image lacks a tool that the contract needs, with the
    /// script's own message; else an engine's failure.
    pub async fn fulfil_contract(&self) -> Result<(), SandboxError> {
        self.upload(
            "/",
            &[
                ("tmp/agent-contract/contract.sh", CONTRACT.as_bytes(), true),
                ("tmp/agent-contract/conda-activate.sh", CONDA_ACTIVATE.as_bytes(), false),
            ],
        )
        .await?;
        let script = "sh /tmp/agent-contract/contract.sh && rm -rf /tmp/agent-contract";
        let output = self.exec(&ExecSpec::script(script).in_directory("/")).await?;
        if output.success() {
            return Ok(());
        }
        Err(SandboxError::Setup {
            instance: self.instance().clone(),
            detail: format!("the image does not fit: {}", output.text().trim()),
        })
    }
}
