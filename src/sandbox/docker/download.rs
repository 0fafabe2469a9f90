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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use crate::sandbox::docker::trial;

    #[tokio::test]
    async fn files_come_back_as_they_went_in_and_large_ones_do_not() {
        let Some(engine) = trial::engine().await else { return };
        let container = trial::container(&engine).await;
        let content: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        container.upload("/", &[("srv/out/a b.bin", &content, false)]).await.unwrap();
        let tar = container.download_tar("/srv/out", 1 << 20).await;
        let large = container.download_tar("/srv/out", 1000).await;
        let missing = container.download_tar("/srv/none", 1000).await;
        container.remove().await;
        let tar = tar.unwrap();
        let mut archive = tar::Archive::new(tar.as_slice());
        let files: Vec<(String, Vec<u8>)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                (entry.path().unwrap().display().to_string(), bytes)
            })
            .filter(|(_, bytes)| !bytes.is_empty())
            .collect();
        assert_eq!(files, [("out/a b.bin".to_owned(), content)]);
        let large = large.unwrap_err().to_string();
        assert!(large.contains("larger than 1000 bytes"), "{large}");
        assert!(missing.is_err());
    }
}
