//! Files that survive a kill: replaced atomically, or appended line by line.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::scratch;

/// What went wrong with a file of the run.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// Verb, such as `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The content is not what this version writes.
    #[error("{path}:{line}: not a row of this file: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Another process works in the directory.
    #[error("{path} is being worked on by another process")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
}

impl StoreError {
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Replaces `path` so that a reader sees the old or the new content, also after a power loss.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file =
        scratch::File::below(directory, ".tmp-").map_err(StoreError::io("write", path))?;
    file.write_all(content).map_err(StoreError::io("write", path))?;
    file.as_file().sync_all().map_err(StoreError::io("write", path))?;
    set_readable(file.as_file()).map_err(StoreError::io("write", path))?;
    file.persist(path).map_err(StoreError::io("write", path))?;
    sync_directory(directory)
}

/// Temporary files are private by default; artifacts are for everybody who may see the directory.
fn set_readable(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    let _ = file;
    Ok(())
}

fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|handle| handle.sync_all())
        .map_err(StoreError::io("sync", directory))
}

/// Pretty JSON with a final newline, written by [`replace`].
pub(crate) fn replace_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StoreError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|source| StoreError::Io {
        action: "encode",
        path: path.to_owned(),
        source: source.into(),
    })?;
    text.push('\n');
    replace(path, text.as_bytes())
}

/// A JSON file, or nothing when it does not exist.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StoreError::io("read", path)(source)),
    };
    serde_json::from_str(&text).map(Some).map_err(|source| StoreError::Malformed {
        path: path.to_owned(),
        line: source.line(),
        source,
    })
}

/// One JSON line for each row.
pub(crate) fn lines<T: Serialize>(path: &Path, rows: &[T]) -> Result<Vec<u8>, StoreError> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row).map_err(|source| StoreError::Io {
            action: "encode",
            path: path.to_owned(),
            source: source.into(),
        })?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Appends rows in one write that has reached the disk when this returns. A last line without line
/// end is what a killed process was writing: it is cut off first. The caller holds the file alone.
pub(crate) fn append<T: Serialize>(path: &Path, rows: &[T]) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let text = lines(path, rows)?;
    let failed = || StoreError::io("append to", path);
    let mut file =
        OpenOptions::new().create(true).read(true).append(true).open(path).map_err(failed())?;
    let length = file.metadata().map_err(failed())?.len();
    let kept = complete_length(&mut file, length).map_err(failed())?;
    if kept < length {
        file.set_len(kept).map_err(failed())?;
    }
    if let Err(source) = file.write_all(&text) {
        // A full disk may have taken a part of the rows.
        let _ = file.set_len(kept);
        return Err(failed()(source));
    }
    file.sync_data().map_err(failed())
}

/// Bytes up to and including the last line end.
fn complete_length(file: &mut File, length: u64) -> io::Result<u64> {
    let mut last = [b'\n'];
    if length > 0 {
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] {
        return Ok(length);
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1) as u64)
}

/// Rows of a JSON-lines file; nothing when it does not exist. A last line without line end is
/// left out: its process was killed, or is still writing it.
pub(crate) fn read_rows<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::io("read", path)(source)),
    };
    let complete = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    String::from_utf8_lossy(&bytes[..complete])
        .split('\n')
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|source| StoreError::Malformed {
                path: path.to_owned(),
                line: number + 1,
                source,
            })
        })
        .collect()
}

/// Makes a directory with its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("make the directory", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_next_row_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        append(&path, &[1, 2]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"half").unwrap();
        assert_eq!(read_rows::<u32>(&path).unwrap(), [1, 2]);
        append(&path, &[3]).unwrap();
        assert_eq!(read_rows::<u32>(&path).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_malformed_row_is_named_by_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.jsonl");
        fs::write(&path, "1\n\nx\n").unwrap();
        let message = read_rows::<u32>(&path).unwrap_err().to_string();
        assert!(message.contains("rows.jsonl:3: "), "{message}");
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_content_and_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        replace_json(&path, &"old").unwrap();
        assert!(replace(&dir.path().join("missing/b.json"), b"x").is_err());
        assert_eq!(read_json::<String>(&path).unwrap().unwrap(), "old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
