//! Files out of a container.

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use futures_util::StreamExt;

use crate::sandbox::SandboxError;
use crate::sandbox::docker::Container;

impl Container {
    /// A file or folder of the container as a tar archive in memory, up to `limit` bytes.
    ///
    /// # Errors
    /// [`SandboxError`] if there is no such path, it is larger, or the engine cannot.
    pub async fn download_tar(&self, path: &str, limit: usize) -> Result<Vec<u8>, SandboxError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut stream = self.engine.docker.download_from_container(self.id(), Some(options));
        let mut tar = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| self.error(&format!("download {path}"), e))?;
            if tar.len() + chunk.len() > limit {
                return Err(SandboxError::Setup {
                    instance: self.instance().clone(),
                    detail: format!("{path} is larger than {limit} bytes"),
                });
            }
            tar.extend_from_slice(&chunk);
        }
        Ok(tar)
    }
}
