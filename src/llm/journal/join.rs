//! Journals as files: whether one is there, copied, and several made one.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::llm::journal::packed::{LARGEST_CONTENT, Packer, scan};
use crate::llm::journal::{PACKED, PLAIN};

/// Whether an instance's folder holds a journal.
#[must_use]
pub fn has_journal(folder: &Path) -> bool {
    [PLAIN, PACKED].iter().any(|name| folder.join(name).is_file())
}

/// Copies an instance's journal, if there is one, into the folder `to`.
///
/// # Errors
/// When it cannot be read or written.
pub fn copy_journal(from: &Path, to: &Path) -> io::Result<()> {
    for name in [PLAIN, PACKED] {
        match fs::copy(from.join(name), to.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Writes one journal into the folder `to`, which is made where it is missing: every line of the
/// journals in the folders `from` once, in their order, so that of two answers to one request the
/// first counts, as it does within one journal. Writes nothing where there is nothing.
///
/// # Errors
/// When something cannot be read or written.
pub fn join_journals<'a>(from: impl IntoIterator<Item = &'a Path>, to: &Path) -> io::Result<()> {
    let (packer, mut seen) = (Packer::new(), HashSet::new());
    let (mut content, mut file) = (Vec::new(), None);
    let mut flush = |content: &mut Vec<u8>| {
        if content.is_empty() {
            return Ok(());
        }
        if file.is_none() {
            fs::create_dir_all(to)?;
            file = Some(File::create(to.join(PACKED))?);
        }
        if let Some(file) = &mut file {
            file.write_all(&packer.pack(content)?)?;
            file.sync_data()?;
        }
        content.clear();
        Ok::<_, io::Error>(())
    };
    for folder in from {
        for line in lines(folder)? {
            use sha2::Digest as _;
            let digest: [u8; 32] = sha2::Sha256::digest(&line).into();
            if !seen.insert(digest) {
                continue;
            }
            content.extend(line);
            content.push(b'\n');
            if content.len() >= LARGEST_CONTENT {
                flush(&mut content)?;
            }
        }
    }
    flush(&mut content)
}

/// All whole lines of the journal in `folder`, without their newlines.
pub(super) fn lines(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut lines = Vec::new();
    let plain = read(&folder.join(PLAIN))?;
    let packed = scan(&read(&folder.join(PACKED))?);
    for content in std::iter::once(plain).chain(packed.frames.into_iter().map(|(_, text)| text)) {
        for line in content.split_inclusive(|&byte| byte == b'\n') {
            let text = line.trim_ascii();
            let whole = line.ends_with(b"\n")
                || serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
            if !text.is_empty() && whole {
                lines.push(line.strip_suffix(b"\n").unwrap_or(line).to_vec());
            }
        }
    }
    Ok(lines)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}
