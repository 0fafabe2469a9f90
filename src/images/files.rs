//! The files of a source archive (`.tar.gz`, `.tgz`, `.tar`, `.zip`) or of a folder, in memory and
//! with paths that cannot lead out of the tree.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use flate2::read::GzDecoder;

use crate::dataset::commit::{CommitFile, FileMode};

/// Largest sum of file sizes taken from a source: 1 GiB. Everything is held in memory.
const MAX_BYTES: u64 = 1 << 30;

/// Files by path, `/` between components.
pub(crate) type Files = BTreeMap<String, CommitFile>;

/// Why the files of a source cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Reading failed.
    #[error("cannot read {path}")]
    Read {
        /// The archive or the file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is no archive that is understood.
    #[error("{path} is neither a folder nor a .tar.gz, .tgz, .tar or .zip archive")]
    Unknown {
        /// The path given.
        path: String,
    },
    /// An entry that must not be taken.
    #[error("{path} holds {entry:?}, which {problem}")]
    Entry {
        /// The archive or the folder.
        path: String,
        /// Name of the entry.
        entry: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Reads all files of `path`. A single top folder that holds everything, as source archives have
/// it, is left out. `.git` folders are skipped.
///
/// # Errors
/// [`FilesError`] for unknown formats, entries that lead elsewhere, and unreadable files.
pub(crate) fn read(path: &Path) -> Result<Files, FilesError> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let failed = |source| FilesError::Read { path: path.display().to_string(), source };
    let mut taker = Taker { origin: path, files: Files::new(), bytes: 0 };
    if path.is_dir() {
        taker.folder(path)?;
        return Ok(taker.files);
    }
    let file = File::open(path).map_err(failed)?;
    if name.ends_with(".tar.gz") || name.ends_with(".tgz") {
        taker.tar(GzDecoder::new(file))?;
    } else if name.ends_with(".tar") {
        taker.tar(file)?;
    } else if name.ends_with(".zip") {
        taker.zip(file)?;
    } else {
        return Err(FilesError::Unknown { path: path.display().to_string() });
    }
    Ok(without_top_folder(taker.files))
}

/// Leaves out the first component where all paths share it.
fn without_top_folder(files: Files) -> Files {
    let Some(top) = files.keys().next().and_then(|first| first.split_once('/')) else {
        return files;
    };
    let prefix = format!("{}/", top.0);
    if !files.keys().all(|path| path.starts_with(&prefix)) {
        return files;
    }
    files
        .into_values()
        .map(|mut file| {
            file.path.drain(..prefix.len());
            (file.path.clone(), file)
        })
        .collect()
}

struct Taker<'a> {
    origin: &'a Path,
    files: Files,
    bytes: u64,
}

impl Taker<'_> {
    fn failed(&self, source: io::Error) -> FilesError {
        FilesError::Read { path: self.origin.display().to_string(), source }
    }

    fn refuse(&self, entry: &Path, problem: &'static str) -> FilesError {
        FilesError::Entry {
            path: self.origin.display().to_string(),
            entry: entry.display().to_string(),
            problem,
        }
    }

    /// The path as git writes it; `None` for what is skipped.
    fn clean(&self, entry: &Path) -> Result<Option<String>, FilesError> {
        let mut parts = Vec::new();
        for component in entry.components() {
            match component {
                Component::CurDir => {}
                Component::Normal(part) => {
                    let part = part
                        .to_str()
                        .ok_or_else(|| self.refuse(entry, "has a name that is not UTF-8"))?;
                    if part.eq_ignore_ascii_case(".git") {
                        return Ok(None);
                    }
                    parts.push(part);
                }
                _ => return Err(self.refuse(entry, "leads out of the tree")),
            }
        }
        Ok((!parts.is_empty()).then(|| parts.join("/")))
    }

    fn take(&mut self, entry: &Path, mode: FileMode, content: Vec<u8>) -> Result<(), FilesError> {
        self.bytes += content.len() as u64;
        if self.bytes > MAX_BYTES {
            return Err(self.refuse(entry, "makes the tree larger than 1 GiB"));
        }
        if let Some(path) = self.clean(entry)? {
            self.files.insert(path.clone(), CommitFile { path, content, mode });
        }
        Ok(())
    }

    fn read_all(&self, reader: impl Read) -> Result<Vec<u8>, FilesError> {
        let mut content = Vec::new();
        // One byte more than allowed is enough for `take` to notice.
        let left = MAX_BYTES.saturating_sub(self.bytes) + 1;
        reader.take(left).read_to_end(&mut content).map_err(|error| self.failed(error))?;
        Ok(content)
    }

    fn tar(&mut self, reader: impl Read) -> Result<(), FilesError> {
        let mut archive = tar::Archive::new(reader);
        for entry in archive.entries().map_err(|error| self.failed(error))? {
            let mut entry = entry.map_err(|error| self.failed(error))?;
            let path = entry.path().map_err(|error| self.failed(error))?.into_owned();
            let kind = entry.header().entry_type();
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            if kind.is_symlink() || kind.is_hard_link() {
                let target = entry
                    .link_name()
                    .map_err(|error| self.failed(error))?
                    .ok_or_else(|| self.refuse(&path, "is a link without a target"))?
                    .into_owned();
                self.link(&path, &target, kind.is_symlink())?;
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let executable = entry.header().mode().unwrap_or(0) & 0o100 != 0;
                let content = self.read_all(&mut entry)?;
                self.take(&path, mode_of(executable), content)?;
            } else {
                return Err(self.refuse(&path, "is neither a file, a folder nor a link"));
            }
        }
        Ok(())
    }

    fn link(&mut self, path: &Path, target: &Path, symbolic: bool) -> Result<(), FilesError> {
        if symbolic {
            let text = target
                .to_str()
                .ok_or_else(|| self.refuse(path, "links to a name that is not UTF-8"))?;
            return self.take(path, FileMode::Symlink, text.as_bytes().to_vec());
        }
        let original = self.clean(target)?.and_then(|target| self.files.get(&target)).cloned();
        let original =
            original.ok_or_else(|| self.refuse(path, "is a hard link to a missing entry"))?;
        self.take(path, original.mode, original.content)
    }

    fn zip(&mut self, file: File) -> Result<(), FilesError> {
        let broken = |error: zip::result::ZipError| io::Error::other(error);
        let mut archive = zip::ZipArchive::new(file).map_err(|error| self.failed(broken(error)))?;
        for index in 0..archive.len() {
            let entry = archive.by_index(index).map_err(|error| self.failed(broken(error)))?;
            let name = entry.name().map_err(|error| self.failed(broken(error)))?;
            let path = Path::new(name.as_ref()).to_path_buf();
            if entry.is_dir() {
                continue;
            }
            let unix = entry.unix_mode().unwrap_or(0);
            let mode = if unix & 0o170_000 == 0o120_000 {
                FileMode::Symlink
            } else {
                mode_of(unix & 0o100 != 0)
            };
            let content = self.read_all(entry)?;
            self.take(&path, mode, content)?;
        }
        Ok(())
    }

    fn folder(&mut self, dir: &Path) -> Result<(), FilesError> {
        for entry in fs::read_dir(dir).map_err(|error| self.failed(error))? {
            let entry = entry.map_err(|error| self.failed(error))?;
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().map_err(|error| self.failed(error))?;
            let inside = path.strip_prefix(self.origin).unwrap_or(&path).to_path_buf();
            if name.eq_ignore_ascii_case(".git") {
                continue;
            }
            if kind.is_dir() {
                self.folder(&path)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(|error| self.failed(error))?;
                self.link(&inside, &target, true)?;
            } else if kind.is_file() {
                let file = File::open(&path).map_err(|error| self.failed(error))?;
                let metadata = file.metadata().map_err(|error| self.failed(error))?;
                let content = self.read_all(file)?;
                self.take(&inside, mode_of(is_executable(&metadata)), content)?;
            }
        }
        Ok(())
    }
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

fn mode_of(executable: bool) -> FileMode {
    if executable { FileMode::Executable } else { FileMode::Regular }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tar_gz(path: &Path, fill: impl FnOnce(&mut tar::Builder<&mut Vec<u8>>)) {
        let mut bytes = Vec::new();
        let mut builder = tar::Builder::new(&mut bytes);
        fill(&mut builder);
        builder.finish().unwrap();
        drop(builder);
        let mut encoder =
            flate2::write::GzEncoder::new(File::create(path).unwrap(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap();
    }

    fn add(builder: &mut tar::Builder<&mut Vec<u8>>, name: &str, mode: u32, content: &str) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        // Written raw: `set_path` refuses the very names that the reader must refuse.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }

    #[test]
    fn a_source_archive_loses_its_top_folder_and_keeps_modes_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-1.0.tar.gz");
        tar_gz(&path, |builder| {
            add(builder, "x-1.0/setup.py", 0o644, "1");
            add(builder, "x-1.0/run.sh", 0o755, "2");
            add(builder, "x-1.0/.git/config", 0o644, "no");
            let mut link = tar::Header::new_gnu();
            link.set_entry_type(tar::EntryType::Symlink);
            link.set_size(0);
            builder.append_link(&mut link, "x-1.0/link", "run.sh").unwrap();
        });
        let files = read(&path).unwrap();
        let seen: Vec<_> = files.values().map(|f| (f.path.as_str(), f.mode)).collect();
        assert_eq!(
            seen,
            [
                ("link", FileMode::Symlink),
                ("run.sh", FileMode::Executable),
                ("setup.py", FileMode::Regular)
            ]
        );
        assert_eq!(files["link"].content, b"run.sh");
    }

    #[test]
    fn two_top_folders_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tgz");
        tar_gz(&path, |builder| {
            add(builder, "a/x", 0o644, "");
            add(builder, "b/x", 0o644, "");
        });
        assert_eq!(read(&path).unwrap().into_keys().collect::<Vec<_>>(), ["a/x", "b/x"]);
    }

    #[test]
    fn entries_that_lead_out_of_the_tree_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["x/../../etc/passwd", "/etc/passwd"] {
            let path = dir.path().join("bad.tar.gz");
            tar_gz(&path, |builder| add(builder, bad, 0o644, "x"));
            let error = read(&path).unwrap_err();
            assert!(matches!(error, FilesError::Entry { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn broken_archives_and_other_files_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("readme.txt");
        fs::write(&text, "hello").unwrap();
        assert!(matches!(read(&text), Err(FilesError::Unknown { .. })));
        for name in ["x.tar.gz", "x.zip", "x.tar"] {
            let path = dir.path().join(name);
            fs::write(&path, "this is no archive, but a text of some length").unwrap();
            assert!(matches!(read(&path), Err(FilesError::Read { .. })), "{name}");
        }
        assert!(matches!(read(&dir.path().join("gone.zip")), Err(FilesError::Read { .. })));
    }

    #[test]
    fn zip_and_folder_give_the_same_files() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("pkg/.git")).unwrap();
        fs::write(tree.join("pkg/a.py"), "a = 1\n").unwrap();
        fs::write(tree.join("run"), "x").unwrap();
        fs::set_permissions(tree.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("run", tree.join("link")).unwrap();

        let path = dir.path().join("t.zip");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file("t/pkg/a.py", options.unix_permissions(0o644)).unwrap();
        writer.write_all(b"a = 1\n").unwrap();
        writer.start_file("t/run", options.unix_permissions(0o755)).unwrap();
        writer.write_all(b"x").unwrap();
        writer.add_symlink("t/link", "run", options).unwrap();
        writer.finish().unwrap();

        assert_eq!(read(&path).unwrap(), read(&tree).unwrap());
    }
}
