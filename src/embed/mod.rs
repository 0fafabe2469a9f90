//! Which of the files that retrieval found mean what the issue says, by an embeddings server: one
//! more list in the fusion, where a server for it is given.
//!
//! What is embedded are the issue and the definitions of the best files of the base commit. Every
//! vector is kept beside the repository's index, so that no text is asked about twice. A server that
//! fails costs the list, never the ranking.

mod join;
mod pieces;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::future::join_all;
use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::artifact::RankedFile;
use crate::event::{Events, with_causes};
use crate::index::{IndexCache, RepoIndex, VectorKey};
use crate::llm::{HttpClient, HttpConfig, ModelClient, ModelError};
use crate::repo::Checkout;

use pieces::Piece;

/// Texts in one request, and requests at the same time.
const BATCH: usize = 64;
const SIDE_BY_SIDE: usize = 4;

/// How often texts are halved for a model that calls them too long.
const HALVINGS: u32 = 3;

/// Failures in a row after which the server is left alone.
const PATIENCE: u32 = 3;

/// An embeddings server, and how much it has to say.
#[derive(Debug)]
pub struct Embeddings {
    config: HttpConfig,
    /// Files of a ranking whose meaning is asked for.
    files: usize,
    /// Weight of the list beside all that retrieval says, which has 1.
    weight: f64,
    cancel: CancellationToken,
    client: OnceCell<HttpClient>,
    failures: AtomicU32,
    /// Held while texts are asked about, so that two instances do not ask about the same ones.
    asking: Mutex<()>,
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
enum NoList {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(
        "vectors of {0} and of {1} dimensions; if the server's model has changed, `agent index \
         clear` forgets the old ones"
    )]
    Dimensions(usize, usize),
    #[error("the issue, or every file, is empty")]
    Nothing,
}

impl Embeddings {
    /// A server that is asked when the first ranking wants it.
    #[must_use]
    pub fn new(config: HttpConfig, files: usize, weight: f64, cancel: CancellationToken) -> Self {
        Self {
            config: HttpConfig { max_attempts: config.max_attempts.min(3), ..config },
            files,
            weight,
            cancel,
            client: OnceCell::new(),
            failures: AtomicU32::new(0),
            asking: Mutex::default(),
        }
    }

    /// `ranked` with one more list: the first files by how near the nearest of their definitions is
    /// to the issue. Without an answer of the server it comes back as it is, and a notice says why.
    pub async fn join(
        &self,
        ranked: Vec<RankedFile>,
        issue: &str,
        checkout: &Arc<Checkout>,
        index: &IndexCache,
        events: &Events,
    ) -> Vec<RankedFile> {
        if self.failures.load(Ordering::Relaxed) >= PATIENCE || ranked.is_empty() {
            return ranked;
        }
        match self.list(&ranked, issue, checkout, index, events).await {
            Ok(near) => {
                self.failures.store(0, Ordering::Relaxed);
                join::join(ranked, &near, self.weight)
            }
            Err(NoList::Model(ModelError::Cancelled)) => ranked,
            Err(error) => {
                let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                let lasting =
                    if failures >= PATIENCE { ", as of now for all instances" } else { "" };
                events.notice(format!("embeddings are left out{lasting}: {}", with_causes(&error)));
                ranked
            }
        }
    }

    async fn list(
        &self,
        ranked: &[RankedFile],
        issue: &str,
        checkout: &Arc<Checkout>,
        index: &IndexCache,
        events: &Events,
    ) -> Result<Vec<join::Near>, NoList> {
        let files =
            ranked.iter().take(self.files).map(|file| file.path.clone()).collect::<Vec<_>>();
        let (tree, text) = (Arc::clone(checkout), issue.to_owned());
        let cut = move || (pieces::of_issue(&text), pieces::of_files(&tree, &files));
        let (asked, known) = match tokio::task::spawn_blocking(cut).await {
            Ok(cut) => cut,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Err(_) => return Err(ModelError::Cancelled.into()),
        };
        if asked.is_empty() || known.is_empty() {
            return Err(NoList::Nothing);
        }
        let index = index.of(checkout, events);
        let vectors = self.vectors(&index, &[asked.as_slice(), &known].concat(), events).await?;
        let (issue, files) = vectors.split_at(asked.len());
        let dimensions = issue[0].len();
        if let Some(other) = vectors.iter().map(Vec::len).find(|other| *other != dimensions) {
            return Err(NoList::Dimensions(dimensions, other));
        }
        Ok(join::nearest(issue, &known, files))
    }

    /// A vector for each piece, from what is kept or from the server.
    async fn vectors(
        &self,
        index: &RepoIndex,
        pieces: &[Piece],
        events: &Events,
    ) -> Result<Vec<Vec<f32>>, NoList> {
        let _turn = self.asking.lock().await;
        let client = || HttpClient::new(self.config.clone(), events.clone(), self.cancel.clone());
        let client = self.client.get_or_try_init(client).await?;
        let space = format!("{} {}", self.config.base_url, client.model());
        let keys = pieces.iter().map(|piece| piece.key).collect::<Vec<VectorKey>>();
        let mut found = index.vectors(&space, &keys);
        let missing = (0..pieces.len()).filter(|at| found[*at].is_none()).collect::<Vec<_>>();
        let batches = missing.chunks(BATCH).collect::<Vec<_>>();
        for group in batches.chunks(SIDE_BY_SIDE) {
            let mut asked = Vec::with_capacity(group.len());
            for batch in group {
                let texts = batch.iter().map(|at| pieces[*at].text.as_str()).collect::<Vec<_>>();
                asked.push(ask(client, texts));
            }
            let mut failed = None;
            for (batch, answer) in group.iter().zip(join_all(asked).await) {
                let vectors = match answer {
                    Ok(vectors) => vectors,
                    Err(error) => {
                        failed = Some(error);
                        continue;
                    }
                };
                let new = batch.iter().map(|at| keys[*at]).zip(vectors.iter().cloned()).collect();
                index.keep_vectors(&space, new, events);
                for (at, vector) in batch.iter().zip(vectors) {
                    found[*at] = Some(vector);
                }
            }
            if let Some(error) = failed {
                return Err(error.into());
            }
        }
        Ok(found.into_iter().flatten().collect())
    }
}

/// Asks; shortens what the model calls too long, the beginning says most.
async fn ask(client: &HttpClient, mut texts: Vec<&str>) -> Result<Vec<Vec<f32>>, ModelError> {
    let mut halvings = 0;
    loop {
        match client.embed(&texts).await {
            Err(ModelError::ContextOverflow { .. }) if halvings < HALVINGS => {
                halvings += 1;
                for text in &mut texts {
                    *text = &text[..text.floor_char_boundary(pieces::LONGEST >> halvings)];
                }
            }
            other => return other,
        }
    }
}
