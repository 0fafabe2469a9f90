//! Temporary files and directories that do not outlive this process, however it ends.
//!
//! They are removed when dropped, as those of `tempfile`. A process that is killed drops nothing, so
//! each path is also told to a watcher outside of this process, if there is one, for as long as it
//! exists; what the watcher does stands in `cli::reaper`.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{NamedTempFile, TempDir};

static TOLD: Mutex<Told> = Mutex::new(Told { paths: BTreeSet::new(), watcher: None });

struct Told {
    /// What exists now; a watcher that comes later hears of it first.
    paths: BTreeSet<PathBuf>,
    watcher: Option<Box<dyn Write + Send>>,
}

impl Told {
    fn tell(&mut self, note: &Note) {
        let Some(watcher) = &mut self.watcher else { return };
        // A watcher that is gone or stuck must not hold up the work that it watches.
        if watcher.write_all(note.line().as_bytes()).is_err() {
            self.watcher = None;
        }
    }
}

fn told() -> MutexGuard<'static, Told> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a watcher hears, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// This path exists from here on, for the time being.
    Made(PathBuf),
    /// It does not exist any more, or has become a result.
    Gone(PathBuf),
    /// The process has put everything in order itself.
    Done,
}

impl Note {
    /// The line with its end. Paths are written as their bytes in hexadecimal, since they may hold
    /// anything, line ends included.
    #[must_use]
    pub fn line(&self) -> String {
        let hex = |path: &Path| -> String {
            path.as_os_str().as_encoded_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        match self {
            Self::Made(path) => format!("+{}\n", hex(path)),
            Self::Gone(path) => format!("-{}\n", hex(path)),
            Self::Done => "done\n".to_owned(),
        }
    }

    /// The note that a line, without its end, holds.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        use std::os::unix::ffi::OsStringExt as _;
        if line == "done" {
            return Some(Self::Done);
        }
        let (kind, hex) = line.split_at_checked(1)?;
        let digits: Option<Vec<u8>> = hex
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let path = PathBuf::from(std::ffi::OsString::from_vec(digits?));
        match kind {
            "+" => Some(Self::Made(path)),
            "-" => Some(Self::Gone(path)),
            _ => None,
        }
    }
}

/// From here on `watcher` hears of every path that is made or gone, and of those that exist now.
/// Its writes must not block.
pub fn watch(watcher: Box<dyn Write + Send>) {
    let mut told = told();
    told.watcher = Some(watcher);
    let paths: Vec<PathBuf> = told.paths.iter().cloned().collect();
    for path in paths {
        told.tell(&Note::Made(path));
    }
}

/// Tells the watcher that it is not needed any more, and lets it go.
pub fn dismiss() {
    let mut told = told();
    told.tell(&Note::Done);
    told.watcher = None;
}

/// A path that a watcher knows of while this value lives, before anything lies there.
#[derive(Debug)]
struct Known(PathBuf);

impl Known {
    /// A new name in `parent`.
    fn new(parent: &Path, prefix: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let random = RandomState::new().hash_one((std::process::id(), count));
        let path = parent.join(format!("{prefix}{random:016x}"));
        // A watcher has a work directory of its own.
        let path = std::path::absolute(&path).unwrap_or(path);
        let mut told = told();
        told.tell(&Note::Made(path.clone()));
        told.paths.insert(path.clone());
        Self(path)
    }

    /// What makes exactly this path.
    fn make<T>(
        &self,
        make: impl FnOnce(&tempfile::Builder<'_, '_>, &Path) -> io::Result<T>,
    ) -> io::Result<T> {
        let name = self.0.file_name().unwrap_or_default();
        let parent = self.0.parent().unwrap_or(Path::new("/"));
        make(tempfile::Builder::new().prefix(name).rand_bytes(0), parent)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        let mut told = told();
        told.paths.remove(&self.0);
        told.tell(&Note::Gone(self.0.clone()));
    }
}

/// A temporary directory.
#[derive(Debug)]
pub struct Dir {
    // Dropped in this order: removed, then told.
    inner: TempDir,
    _known: Known,
}

impl Dir {
    /// Below the system's directory for temporary files.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(prefix: &str) -> io::Result<Self> {
        Self::below(&std::env::temp_dir(), prefix)
    }

    /// Below `parent`, which exists.
    ///
    /// # Errors
    /// What the system says.
    pub fn below(parent: &Path, prefix: &str) -> io::Result<Self> {
        let known = Known::new(parent, prefix);
        let inner = known.make(|builder, parent| builder.tempdir_in(parent))?;
        Ok(Self { inner, _known: known })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.path()
    }

    /// Makes it a directory like any other.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.inner.keep()
    }

    /// Removes it now.
    ///
    /// # Errors
    /// What the system says.
    pub fn close(self) -> io::Result<()> {
        self.inner.close()
    }
}

/// A temporary file that usually becomes a result.
#[derive(Debug)]
pub struct File {
    inner: NamedTempFile,
    known: Known,
}

impl File {
    /// In `parent`, which exists; only the owner may read it.
    ///
    /// # Errors
    /// What the system says.
    pub fn below(parent: &Path, prefix: &str) -> io::Result<Self> {
        let known = Known::new(parent, prefix);
        let inner = known.make(|builder, parent| builder.tempfile_in(parent))?;
        Ok(Self { inner, known })
    }

    /// The open file.
    #[must_use]
    pub fn as_file(&self) -> &fs::File {
        self.inner.as_file()
    }

    /// Puts it into the place of `path` at once.
    ///
    /// # Errors
    /// What the system says; the file is gone then, and `path` as it was.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        let Self { inner, known } = self;
        let done = inner.persist(path).map(drop).map_err(|error| error.error);
        drop(known);
        done
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<u8>>>);

    impl Write for Heard {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Heard {
        /// What was said of paths below `place`: other tests make files at the same time.
        fn about(&self, place: &Path) -> Vec<Note> {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let notes = text.lines().map(|line| Note::read(line).unwrap());
            notes
                .filter(|note| match note {
                    Note::Made(path) | Note::Gone(path) => path.starts_with(place),
                    Note::Done => true,
                })
                .collect()
        }
    }

    #[test]
    fn a_watcher_hears_of_what_exists_and_of_what_ends() {
        let place = tempfile::tempdir().unwrap();
        let before = Dir::below(place.path(), "before-").unwrap();
        let heard = Heard::default();
        watch(Box::new(heard.clone()));
        let mut file = File::below(place.path(), ".tmp-").unwrap();
        let named = file.inner.path().to_owned();
        file.write_all(b"x").unwrap();
        file.persist(&place.path().join("result")).unwrap();
        let path = before.path().to_owned();
        drop(before);
        assert!(!path.exists());
        assert_eq!(
            heard.about(place.path()),
            [
                Note::Made(path.clone()),
                Note::Made(named.clone()),
                Note::Gone(named),
                Note::Gone(path)
            ]
        );
        assert_eq!(fs::read(place.path().join("result")).unwrap(), b"x");
        dismiss();
        assert_eq!(heard.about(place.path()).last(), Some(&Note::Done));
    }

    #[test]
    fn any_path_survives_its_line() {
        use std::os::unix::ffi::OsStringExt as _;
        let strange = std::ffi::OsString::from_vec(b"/a b\n\xff\"".to_vec());
        for note in [Note::Made(strange.clone().into()), Note::Gone(strange.into()), Note::Done] {
            let line = note.line();
            assert_eq!(Note::read(line.strip_suffix('\n').unwrap()), Some(note));
        }
        for line in ["", "x", "+0", "+zz", "done ", "é"] {
            assert_eq!(Note::read(line).filter(|note| note.line().trim_end() == line), None);
        }
    }
}
