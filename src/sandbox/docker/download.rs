//! Files out of a container.

use std::io::{self, Write};

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
        let mut tar = Vec::new();
        self.download(path, limit as u64, &mut tar).await?;
        Ok(tar)
    }

    /// Writes a file or folder of the container to `sink` as a tar archive, up to `limit` bytes.
    ///
    /// # Errors
    /// [`SandboxError`] if there is no such path, it is larger, or the engine cannot.
    pub async fn download(
        &self,
        path: &str,
        limit: u64,
        sink: &mut (impl Write + Send),
    ) -> Result<(), SandboxError> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let mut stream = self.engine.docker.download_from_container(self.id(), Some(options));
        let mut written = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => return Err(self.error(&format!("download {path}"), error).await),
            };
            written += chunk.len() as u64;
            if written > limit {
                return Err(SandboxError::Setup {
                    instance: self.instance().clone(),
                    detail: format!("{path} is larger than {limit} bytes"),
                });
            }
            sink.write_all(&chunk).map_err(|source: io::Error| SandboxError::Io {
                action: format!("keep {path} of a container"),
                source,
            })?;
        }
        Ok(())
    }
}
