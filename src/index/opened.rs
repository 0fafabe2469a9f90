//! A commit with all that is known of it, ready to be asked.

use std::path::PathBuf;
use std::sync::Arc;

use crate::artifact::RankedFile;
use crate::event::Events;
use crate::index::{IndexCache, IndexSize, RepoIndex};
use crate::repo::{Checkout, RepoError};
use crate::retrieval::{self, Corpus, FileFeatures, History, RankOptions};

/// A commit's files and ancestors.
#[derive(Debug)]
pub struct Opened {
    checkout: Arc<Checkout>,
    index: Arc<RepoIndex>,
    corpus: Corpus,
    history: History,
}

impl IndexCache {
    /// Records what is new in a checkout's files and in up to `history` of its ancestors, and
    /// gathers what a ranking needs. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`RepoError`] when the object database cannot be read.
    pub fn open(
        &self,
        checkout: Arc<Checkout>,
        history: usize,
        events: &Events,
    ) -> Result<Opened, RepoError> {
        let index = self.of(&checkout, events);
        let (corpus, history) = index.look(&checkout, history, events)?;
        Ok(Opened { checkout, index, corpus, history })
    }
}

impl Opened {
    /// The files by how much they look like what the issue is about, best first, at most `limit`.
    #[must_use]
    pub fn rank(&self, issue: &str, options: &RankOptions, limit: usize) -> Vec<RankedFile> {
        retrieval::rank(&self.corpus, issue, &self.history, options, limit)
    }

    /// What the ranker judges by, for its training.
    #[must_use]
    pub fn features(&self, issue: &str) -> Vec<FileFeatures> {
        retrieval::features(&self.corpus, issue, &self.history)
    }

    /// The commit's tree.
    #[must_use]
    pub fn checkout(&self) -> &Arc<Checkout> {
        &self.checkout
    }

    /// Full id of the commit.
    #[must_use]
    pub fn commit(&self) -> &str {
        self.checkout.base_commit()
    }

    /// Files that are ranked first, and all files.
    #[must_use]
    pub fn files(&self) -> (usize, usize) {
        self.corpus.size()
    }

    /// Ancestors that are looked at, the commit itself included.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.history.len()
    }

    /// What the repository's index holds.
    #[must_use]
    pub fn size(&self) -> IndexSize {
        self.index.size()
    }

    /// Where it is kept; None when it is not.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.index.kept_in()
    }
}
