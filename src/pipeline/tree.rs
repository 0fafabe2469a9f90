//! The checkout as sandboxes see a tree.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::repo::Checkout;
use crate::sandbox::TreeSource;

/// The files of a base commit.
pub struct BaseTree(Option<Arc<Checkout>>);

impl BaseTree {
    /// The files of this checkout.
    #[must_use]
    pub fn new(checkout: Arc<Checkout>) -> Self {
        Self(Some(checkout))
    }

    /// No files: for an instance whose image holds them. Laying them out is an error.
    #[must_use]
    pub fn absent() -> Self {
        Self(None)
    }
}

impl TreeSource for BaseTree {
    fn id(&self) -> String {
        self.0.as_ref().map_or_else(|| "absent".to_owned(), |checkout| checkout.tree_id())
    }

    fn write_to(&self, dir: &Path) -> io::Result<()> {
        match &self.0 {
            Some(checkout) => checkout.write_to(dir),
            None => Err(io::Error::other("the repository is not on this machine")),
        }
    }
}
