//! Objects that lie in files of their own, which a crash or a full disk may have cut off.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use flate2::read::ZlibDecoder;
use git2::Oid;

/// Fails for an object that is cut off: libgit2 waits for the rest of it for ever.
pub(crate) fn check(database: &Path, id: Oid) -> Result<(), git2::Error> {
    let name = id.to_string();
    let place = database.join(&name[..2]).join(&name[2..]);
    let Ok(file) = File::open(&place) else { return Ok(()) };
    let read = io::copy(&mut ZlibDecoder::new(BufReader::new(file)), &mut io::sink());
    read.map(drop).map_err(|error| {
        let place = place.display();
        git2::Error::from_str(&format!(
            "{place} is damaged ({error}); remove it and fetch its commit again"
        ))
    })
}
