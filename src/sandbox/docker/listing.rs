//! Images by label.

use std::collections::HashMap;

use bollard::query_parameters::ListImagesOptionsBuilder;

use crate::sandbox::SandboxError;
use crate::sandbox::docker::Engine;

/// An image in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Its id.
    pub id: String,
    /// Its names with tags; empty for one that lost its name.
    pub names: Vec<String>,
    /// Bytes on disk, shared layers included.
    pub size: u64,
    /// Its labels.
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// All images that carry the label `label`, with whatever value.
    ///
    /// # Errors
    /// [`SandboxError`] if the engine does not answer.
    pub async fn images_labelled(&self, label: &str) -> Result<Vec<ListedImage>, SandboxError> {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let options = ListImagesOptionsBuilder::new().all(false).filters(&filters).build();
        let images = self.docker.list_images(Some(options)).await;
        let images = images.map_err(|e| self.error("list images", e))?;
        Ok(images
            .into_iter()
            .map(|image| ListedImage {
                id: image.id,
                names: image.repo_tags.into_iter().filter(|tag| tag != "<none>:<none>").collect(),
                size: u64::try_from(image.size).unwrap_or(0),
                labels: image.labels,
            })
            .collect())
    }
}
