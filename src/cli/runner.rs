//! The test command of an own repository.

use crate::repo::Checkout;
use crate::testlog::detect::{Detected, detect};

/// The repository's own test command, by its files.
pub(crate) fn detected(checkout: &Checkout) -> Option<Detected> {
    let paths: Vec<String> = checkout.files().iter().map(|file| file.path.clone()).collect();
    let read = |path: &str| {
        let content = checkout.read(path).ok().flatten()?;
        Some(String::from_utf8_lossy(&content).into_owned())
    };
    detect(&paths, &read)
}

/// A line for the user, who may know better.
pub(crate) fn told(found: &Detected) -> String {
    format!(
        "note: tests of the repository run with `{}`, because {}; --test-command names another, or \
         none if it is empty",
        found.command.command, found.because
    )
}
