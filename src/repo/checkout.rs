//! The tree of one commit: which files it has, and their bytes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use git2::{Odb, OdbLookupFlags, Oid, Repository};

use crate::repo::RepoError;
use crate::repo::locate::{self, Located};
use crate::repo::loose;

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileMode {
    /// Mode 100644 (and the old 100664).
    Regular,
    /// Mode 100755.
    Executable,
    /// Mode 120000; the content is the link's target.
    Symlink,
}

/// One file of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Path from the root, `/` between components; always UTF-8, see [`Checkout::skipped`].
    pub path: String,
    /// Id of the content: 40 hexadecimal digits. Equal ids are equal contents.
    pub blob: String,
    /// Bytes of the content; 0 when it is absent from a partial clone.
    pub size: u64,
    /// How it is laid out.
    pub mode: FileMode,
}

/// An entry of the tree that is not among [`Checkout::files`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path; bytes that are not UTF-8 are written `\xNN`.
    pub path: String,
    /// Why, in a few words.
    pub reason: &'static str,
}

/// An entry with a path that only the file system understands.
pub(crate) struct OddFile {
    pub(crate) path: Vec<u8>,
    pub(crate) blob: Oid,
    pub(crate) mode: FileMode,
}

/// The tree of one commit, and its ancestors. Holds the object database and nothing else of the
/// repository; there is no way from here to a reference or to a commit that is not an ancestor.
pub struct Checkout {
    path: PathBuf,
    /// The directory of objects.
    database: PathBuf,
    commit: Oid,
    base: String,
    tree: Oid,
    objects: Mutex<Repository>,
    files: Vec<TreeFile>,
    odd: Vec<OddFile>,
    submodules: Vec<String>,
    skipped: Vec<Skipped>,
    absent: Vec<String>,
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout")
            .field("path", &self.path)
            .field("commit", &self.base)
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl Checkout {
    /// Opens the repository at `path` (bare, with a work tree, or a linked work tree) on `rev`: a
    /// full commit id, or any revision that git understands.
    ///
    /// # Errors
    /// [`RepoError`]: no repository, no such revision, or objects missing. A few absent files are
    /// no error until they are read ([`Checkout::absent`]); a clone that lacks more than half of
    /// them is.
    pub fn open(path: &Path, rev: &str) -> Result<Self, RepoError> {
        Self::at(locate::locate(path)?, rev)
    }

    /// As [`Checkout::open`], for the nearest repository at `path` or above it.
    ///
    /// # Errors
    /// As [`Checkout::open`].
    pub fn discover(path: &Path, rev: &str) -> Result<Self, RepoError> {
        Self::at(locate::discover(path)?, rev)
    }

    fn at(at: Located, rev: &str) -> Result<Self, RepoError> {
        let read = |what: &str| {
            let (path, what) = (at.root.clone(), what.to_owned());
            move |source| RepoError::Read { path, what, source }
        };
        let id = locate::resolve(&at, rev)?;
        let database = at.common_dir.join("objects");
        let repository = objects_at(&database).map_err(read("the object database"))?;
        loose::check(&database, id).map_err(read("the commit"))?;
        let missing = || RepoError::CommitMissing { path: at.root.clone(), commit: id.to_string() };
        let object = repository.find_object(id, None).map_err(|_| missing())?;
        let commit = object.peel_to_commit().map_err(|error| RepoError::UnknownRevision {
            path: at.root.clone(),
            rev: rev.to_owned(),
            detail: error.message().to_owned(),
        })?;
        let mut checkout = Self {
            path: at.root.clone(),
            database,
            commit: commit.id(),
            base: commit.id().to_string(),
            tree: commit.tree_id(),
            files: Vec::new(),
            odd: Vec::new(),
            submodules: Vec::new(),
            skipped: Vec::new(),
            absent: Vec::new(),
            objects: Mutex::new({
                drop(commit);
                drop(object);
                repository
            }),
        };
        checkout.list()?;
        Ok(checkout)
    }

    fn list(&mut self) -> Result<(), RepoError> {
        let mut entries = Vec::new();
        {
            let repository = self.objects();
            self.walk(&repository, self.tree, &mut Vec::new(), &mut entries)?;
        }
        let mut seen = BTreeSet::new();
        for entry in entries {
            let shown = || entry.path.escape_ascii().to_string();
            if let Some(reason) = refusal(&entry.path) {
                self.skipped.push(Skipped { path: shown(), reason });
            } else if !seen.insert(entry.path.clone()) {
                self.skipped.push(Skipped { path: shown(), reason: "its name occurs twice" });
            } else {
                self.admit(entry);
            }
        }
        self.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        self.measure()
    }

    fn admit(&mut self, entry: RawEntry) {
        let mode = match entry.mode {
            0o160_000 => {
                self.submodules.push(String::from_utf8_lossy(&entry.path).into_owned());
                return;
            }
            0o120_000 => FileMode::Symlink,
            mode if mode & 0o111 != 0 => FileMode::Executable,
            _ => FileMode::Regular,
        };
        match String::from_utf8(entry.path) {
            Ok(path) => {
                self.files.push(TreeFile { path, blob: entry.id.to_string(), size: 0, mode });
            }
            Err(error) => {
                let path = error.into_bytes();
                let shown = path.escape_ascii().to_string();
                self.skipped.push(Skipped { path: shown, reason: "its name is not UTF-8" });
                self.odd.push(OddFile { path, blob: entry.id, mode });
            }
        }
    }

    /// Sizes, and which contents are absent.
    fn measure(&mut self) -> Result<(), RepoError> {
        let mut files = std::mem::take(&mut self.files);
        let mut absent = Vec::new();
        {
            let repository = self.objects();
            let database = repository.odb().map_err(|source| self.read_error("objects", source))?;
            for file in &mut files {
                let id = Oid::from_str(&file.blob).expect("an id that this module printed");
                // Each miss of a plain lookup would scan the directory of packs again.
                let here = absent.is_empty() || database.exists_ext(id, OdbLookupFlags::NO_REFRESH);
                match here.then(|| database.read_header(id)) {
                    Some(Ok((size, _))) => file.size = size as u64,
                    _ => absent.push(file.path.clone()),
                }
            }
        }
        self.files = files;
        if absent.len() * 2 > self.files.len() {
            return Err(RepoError::ObjectMissing {
                path: self.path.clone(),
                commit: self.base.clone(),
                what: format!("{} of {} files", absent.len(), self.files.len()),
            });
        }
        self.absent = absent;
        Ok(())
    }

    fn walk(
        &self,
        repository: &Repository,
        tree: Oid,
        prefix: &mut Vec<u8>,
        into: &mut Vec<RawEntry>,
    ) -> Result<(), RepoError> {
        let what = || format!("directory {}/", prefix.escape_ascii());
        let whole = loose::check(&self.database, tree);
        let tree = whole.and_then(|()| repository.find_tree(tree)).map_err(|error| {
            if error.code() == git2::ErrorCode::NotFound {
                self.missing(what())
            } else {
                self.read_error(&what(), error)
            }
        })?;
        for entry in &tree {
            let length = prefix.len();
            if !prefix.is_empty() {
                prefix.push(b'/');
            }
            prefix.extend_from_slice(entry.name_bytes());
            let mode = entry.filemode_raw();
            // A hostile tree may be deeper than any stack; PATH_MAX bounds what can be laid out.
            if mode == 0o040_000 && prefix.len() < 4096 {
                self.walk(repository, entry.id(), prefix, into)?;
            } else {
                into.push(RawEntry { path: prefix.clone(), id: entry.id(), mode });
            }
            prefix.truncate(length);
        }
        Ok(())
    }

    /// Full id of the commit.
    #[must_use]
    pub fn base_commit(&self) -> &str {
        &self.base
    }

    /// Where the repository lies: its root, not the git directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All files, sorted by the bytes of their paths. Submodules and [`Checkout::skipped`] entries
    /// are not among them.
    #[must_use]
    pub fn files(&self) -> &[TreeFile] {
        &self.files
    }

    /// The file at exactly this path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&TreeFile> {
        let place = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        Some(&self.files[place])
    }

    /// Paths of submodules, whose content is in another repository.
    #[must_use]
    pub fn submodules(&self) -> &[String] {
        &self.submodules
    }

    /// Entries that cannot be named in a patch: worth a notice.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Files whose content a partial clone lacks; reading one is an error.
    #[must_use]
    pub fn absent(&self) -> &[String] {
        &self.absent
    }

    /// A file's bytes, a link's target, or nothing when the tree has no such file.
    ///
    /// # Errors
    /// [`RepoError::ObjectMissing`] in partial clones, [`RepoError::Read`] for damaged objects.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RepoError> {
        let Some(file) = self.file(path) else { return Ok(None) };
        let id = Oid::from_str(&file.blob).expect("an id that this module printed");
        self.blob(id, path).map(Some)
    }

    pub(crate) fn blob(&self, id: Oid, path: &str) -> Result<Vec<u8>, RepoError> {
        self.content(&self.objects(), id, path)
    }

    fn content(&self, objects: &Repository, id: Oid, path: &str) -> Result<Vec<u8>, RepoError> {
        match loose::check(&self.database, id).and_then(|()| objects.find_blob(id)) {
            Ok(blob) => Ok(blob.content().to_vec()),
            Err(error) if error.code() == git2::ErrorCode::NotFound => {
                Err(self.missing(path.to_owned()))
            }
            Err(error) => Err(self.read_error(path, error)),
        }
    }

    /// Id of the tree: equal ids are equal files, modes and names.
    #[must_use]
    pub fn tree_id(&self) -> String {
        self.tree.to_string()
    }

    pub(crate) fn odd(&self) -> &[OddFile] {
        &self.odd
    }

    pub(crate) fn commit(&self) -> Oid {
        self.commit
    }

    /// The objects; a thread that panicked while reading them has changed nothing.
    pub(crate) fn objects(&self) -> MutexGuard<'_, Repository> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same objects once more, for another thread.
    pub(crate) fn open_objects(&self) -> Result<Repository, git2::Error> {
        objects_at(&self.database)
    }

    /// The directory that holds the repository's objects: what repositories that share objects
    /// share.
    #[must_use]
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// Whether the clone's history is cut off.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.database.parent().is_some_and(|git_dir| git_dir.join("shallow").is_file())
    }

    /// The command that gets what a partial clone lacks of this commit.
    #[must_use]
    pub fn fetch_of_content(&self) -> String {
        let (path, base) = (self.path.display(), &self.base);
        format!("git -C {path} fetch --refetch --no-filter origin {base}")
    }

    /// The command that gets the ancestors that a clone lacks, or what they changed.
    #[must_use]
    pub fn fetch_of_history(&self) -> String {
        match self.is_shallow() {
            true => format!("git -C {} fetch --unshallow", self.path.display()),
            false => self.fetch_of_content(),
        }
    }

    /// A reader of files that does not wait for other readers.
    ///
    /// # Errors
    /// [`RepoError::Read`] when the object database cannot be opened again.
    pub fn reader(&self) -> Result<BlobReader<'_>, RepoError> {
        let objects =
            self.open_objects().map_err(|error| self.read_error("the object database", error))?;
        Ok(BlobReader { checkout: self, objects })
    }

    fn missing(&self, what: String) -> RepoError {
        RepoError::ObjectMissing { path: self.path.clone(), commit: self.base.clone(), what }
    }

    fn read_error(&self, what: &str, source: git2::Error) -> RepoError {
        RepoError::Read { path: self.path.clone(), what: what.to_owned(), source }
    }
}

/// The object database alone, with no repository around it.
fn objects_at(database: &Path) -> Result<Repository, git2::Error> {
    // As git itself, which hashes objects when they arrive and not each time that they are read;
    // here that would be a fifth of the time that a history takes.
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| git2::opts::strict_hash_verification(false));
    let text = database.to_str().ok_or_else(|| git2::Error::from_str("its path is not UTF-8"))?;
    let objects = Odb::new()?;
    objects.add_disk_alternate(text)?;
    Repository::from_odb(objects)
}

/// Reads files of a checkout on one thread.
pub struct BlobReader<'a> {
    checkout: &'a Checkout,
    objects: Repository,
}

impl std::fmt::Debug for BlobReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("BlobReader").field(&self.checkout.path).finish()
    }
}

impl BlobReader<'_> {
    /// As [`Checkout::read`].
    ///
    /// # Errors
    /// As [`Checkout::read`].
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RepoError> {
        let Some(file) = self.checkout.file(path) else { return Ok(None) };
        let id = Oid::from_str(&file.blob).expect("an id that this module printed");
        self.checkout.content(&self.objects, id, path).map(Some)
    }
}

struct RawEntry {
    path: Vec<u8>,
    id: Oid,
    mode: i32,
}

/// Names that git itself refuses to lay out; a crafted tree may hold them.
fn refusal(path: &[u8]) -> Option<&'static str> {
    if path.len() >= 4096 {
        return Some("its name is too long");
    }
    path.split(|byte| *byte == b'/').find_map(|component| match component {
        b"" | b"." | b".." => Some("its name leads elsewhere"),
        name if name.eq_ignore_ascii_case(b".git") => Some("it lies inside .git"),
        name if name.contains(&0) => Some("its name holds a NUL"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::testing::{TestRepo, git};

    fn paths(checkout: &Checkout) -> Vec<&str> {
        checkout.files().iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn files_of_every_kind_are_read_byte_for_byte() {
        let repo = TestRepo::new();
        let big = b"x = 1\n".repeat(900_000);
        repo.write("crlf.py", b"a = 1\r\nb = 2\r\n");
        repo.write("latin.py", b"# caf\xe9\n");
        repo.write("empty.py", b"");
        repo.write("no_final_newline.py", b"x = 1");
        repo.write("big.py", &big);
        repo.write("data.bin", &[0, 159, 146, 150]);
        repo.write("a b/\u{e4}\t'.py", b"odd = True\n");
        repo.write("tool.sh", b"#!/bin/sh\n");
        repo.make_executable("tool.sh");
        std::os::unix::fs::symlink("../../etc/passwd", repo.path().join("link.py")).unwrap();
        let commit = repo.commit("all kinds");
        let checkout = Checkout::open(repo.path(), "HEAD").unwrap();
        assert_eq!(checkout.base_commit(), commit);
        assert_eq!(checkout.read("crlf.py").unwrap().unwrap(), b"a = 1\r\nb = 2\r\n");
        assert_eq!(checkout.read("latin.py").unwrap().unwrap(), b"# caf\xe9\n");
        assert_eq!(checkout.read("empty.py").unwrap().unwrap(), b"");
        assert_eq!(checkout.read("no_final_newline.py").unwrap().unwrap(), b"x = 1");
        assert_eq!(checkout.read("big.py").unwrap().unwrap(), big);
        assert_eq!(checkout.file("big.py").unwrap().size, 5_400_000);
        assert_eq!(checkout.read("a b/\u{e4}\t'.py").unwrap().unwrap(), b"odd = True\n");
        // A link is its target's name, never what the name leads to.
        assert_eq!(checkout.file("link.py").unwrap().mode, FileMode::Symlink);
        assert_eq!(checkout.read("link.py").unwrap().unwrap(), b"../../etc/passwd");
        assert_eq!(checkout.file("tool.sh").unwrap().mode, FileMode::Executable);
        for absent in ["nothing.py", "a b", "", "/crlf.py", "../crlf.py", ".git/HEAD"] {
            assert_eq!(checkout.read(absent).unwrap(), None, "{absent}");
        }
        let mut sorted = paths(&checkout);
        sorted.sort_unstable();
        assert_eq!(paths(&checkout), sorted);
    }

    #[test]
    fn later_commits_and_other_references_stay_out_of_sight() {
        let repo = TestRepo::new();
        repo.write("a.py", b"bug\n");
        let base = repo.commit("base");
        repo.write("a.py", b"SECRET fix\n");
        repo.write("answer.py", b"SECRET\n");
        repo.git(&["tag", "answer"]);
        repo.commit_at("SECRET later, with an old date", "2001-01-01T00:00:00Z");
        repo.git(&["tag", "-f", "answer"]);
        repo.write("a.py", b"SECRET stash\n");
        repo.git(&["stash"]);
        repo.write("a.py", b"SECRET work tree\n");
        let checkout = Checkout::open(repo.path(), &base).unwrap();
        let mut all = format!("{checkout:?}{:?}", checkout.history(100));
        for file in checkout.files() {
            all.push_str(&file.path);
            all.push_str(&String::from_utf8_lossy(&checkout.read(&file.path).unwrap().unwrap()));
        }
        assert!(all.contains("bug") && all.contains("base"));
        assert!(!all.contains("SECRET"), "{all}");
        assert_eq!(checkout.history(100).len(), 1);
        let out = tempfile::tempdir().unwrap();
        checkout.write_to(out.path()).unwrap();
        let names = std::fs::read_dir(out.path()).unwrap().map(|e| e.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["a.py"]);
    }

    #[test]
    fn bare_linked_shallow_and_subdirectory_give_the_same_tree() {
        let repo = TestRepo::new();
        repo.write("p/a.py", b"1\n");
        repo.commit("one");
        repo.write("p/a.py", b"2\n");
        let base = repo.commit("two");
        let tree = Checkout::open(repo.path(), &base).unwrap().tree_id();
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let url = format!("file://{}", repo.path().display());
        git(dir.path(), &["clone", "-q", "--bare", &url, "bare.git"]);
        git(dir.path(), &["clone", "-q", "--depth=1", &url, "shallow"]);
        repo.git(&["worktree", "add", "-q", "--detach", &at("linked"), "HEAD"]);
        for name in ["bare.git", "shallow", "linked", "shallow/.git"] {
            for rev in [base.as_str(), "HEAD", &base[..8]] {
                let checkout = Checkout::open(Path::new(&at(name)), rev).unwrap();
                assert_eq!(checkout.tree_id(), tree, "{name} {rev}");
            }
        }
        let shallow = Checkout::open(Path::new(&at("shallow")), "HEAD").unwrap();
        assert_eq!(shallow.history(10).len(), 1);
        let inside = repo.path().join("p");
        assert_eq!(Checkout::discover(&inside, "HEAD").unwrap().tree_id(), tree);
        let error = Checkout::open(&inside, "HEAD").unwrap_err().to_string();
        assert!(error.contains("is not a git repository; it lies inside of one"), "{error}");
    }

    #[test]
    fn partial_clones_read_what_they_have_and_name_what_they_lack() {
        let repo = TestRepo::new();
        repo.write("a.py", b"x = 1\n");
        repo.write("b.py", b"y = 1\n");
        repo.write("big.dat", &[7; 4000]);
        repo.git(&["config", "uploadpack.allowFilter", "true"]);
        let base = repo.commit("base");
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}", repo.path().display());
        git(dir.path(), &["clone", "-q", "--bare", "--filter=blob:limit=1k", &url, "some.git"]);
        git(dir.path(), &["clone", "-q", "--bare", "--filter=blob:none", &url, "none.git"]);
        git(dir.path(), &["-C", "some.git", "config", "core.repositoryFormatVersion", "1"]);
        git(dir.path(), &["-C", "some.git", "config", "extensions.partialClone", "origin"]);
        let path = dir.path().join("some.git");
        for rev in ["HEAD", &base] {
            let some = Checkout::open(&path, rev).unwrap();
            assert_eq!(some.absent(), ["big.dat"]);
            assert_eq!(some.read("a.py").unwrap().unwrap(), b"x = 1\n");
            let error = some.read("big.dat").unwrap_err().to_string();
            assert!(error.contains("lacks big.dat of commit"), "{error}");
            let out = tempfile::tempdir().unwrap();
            assert!(some.write_to(out.path()).unwrap_err().to_string().contains("big.dat"));
        }
        let error = Checkout::open(&dir.path().join("none.git"), &base).unwrap_err().to_string();
        assert!(error.contains("lacks 3 of 3 files"), "{error}");
        let mend = error.split('`').nth(1).unwrap();
        let words = mend.split(' ').skip(1).collect::<Vec<_>>();
        git(dir.path(), &words);
        let mended = Checkout::open(&dir.path().join("none.git"), &base).unwrap();
        assert_eq!(mended.absent(), [] as [&str; 0]);
    }

    #[test]
    fn odd_entries_are_listed_and_laid_out_where_git_would() {
        use std::os::unix::ffi::OsStrExt;
        let repo = TestRepo::new();
        repo.write("a.py", b"1\n");
        repo.write("A.py", b"2\n");
        let odd = std::ffi::OsStr::from_bytes(b"caf\xe9.py");
        std::fs::write(repo.path().join(odd), b"3\n").unwrap();
        let base = repo.commit("odd");
        let link = format!("160000,{base},vendor/lib");
        repo.git(&["update-index", "--add", "--cacheinfo", &link]);
        repo.git(&["commit", "-q", "-m", "submodule"]);
        let checkout = Checkout::open(repo.path(), "HEAD").unwrap();
        assert_eq!(paths(&checkout), ["A.py", "a.py"]);
        assert_eq!(checkout.submodules(), ["vendor/lib"]);
        assert_eq!(checkout.skipped()[0].path, "caf\\xe9.py");
        let out = tempfile::tempdir().unwrap();
        checkout.write_to(out.path()).unwrap();
        assert_eq!(std::fs::read(out.path().join(odd)).unwrap(), b"3\n");
        assert!(out.path().join("vendor/lib").is_dir());
    }

    #[test]
    fn a_crafted_tree_cannot_write_outside_or_into_git() {
        let repo = TestRepo::new();
        repo.write("a.py", b"1\n");
        repo.commit("base");
        let crafted = {
            let repository = Repository::open(repo.path()).unwrap();
            let blob = repository.blob(b"evil\n").unwrap();
            let tree = |entries: &[(&str, &str, Oid)]| {
                let mut bytes = Vec::new();
                for (mode, name, id) in entries {
                    bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
                    bytes.extend_from_slice(id.as_bytes());
                }
                let database = repository.odb().unwrap();
                database.write(git2::ObjectType::Tree, &bytes).unwrap()
            };
            let link = repository.blob(b"/tmp").unwrap();
            let inner = tree(&[("100644", "config", blob)]);
            let root = tree(&[
                ("40000", "..", inner),
                ("40000", ".GIT", inner),
                ("120000", "x", link),
                ("40000", "x", inner),
                ("100644", "y.py", blob),
            ]);
            let text = format!("tree {root}\nauthor a <a> 0 +0000\ncommitter a <a> 0 +0000\n\nm\n");
            let database = repository.odb().unwrap();
            database.write(git2::ObjectType::Commit, text.as_bytes()).unwrap().to_string()
        };
        let checkout = Checkout::open(repo.path(), &crafted).unwrap();
        assert_eq!(checkout.skipped().len(), 2, "{:?}", checkout.skipped());
        let out = tempfile::tempdir().unwrap();
        let inside = out.path().join("work");
        std::fs::create_dir(&inside).unwrap();
        // `x` is both a link and a directory: refused rather than written through.
        assert!(checkout.write_to(&inside).is_err());
        assert!(!out.path().join("config").exists());
        assert!(!inside.join(".GIT").exists());
        assert_eq!(std::fs::read(inside.join("x/config")).unwrap(), b"evil\n");
    }

    #[test]
    fn objects_that_are_cut_off_are_errors_that_name_their_file() {
        let repo = TestRepo::new();
        repo.write("p/a.py", "value = 'needle'\n".repeat(100).as_bytes());
        repo.commit("base");
        for (rev, opens) in [("HEAD:p/a.py", true), ("HEAD:p", false), ("HEAD", false)] {
            let id = repo.git(&["rev-parse", rev]);
            let place = repo.path().join(".git/objects").join(&id[..2]).join(id[2..].trim());
            let bytes = std::fs::read(&place).unwrap();
            std::fs::remove_file(&place).unwrap();
            std::fs::write(&place, &bytes[..bytes.len() - 8]).unwrap();
            let commit = repo.git(&["rev-parse", "main"]);
            let error = match Checkout::open(repo.path(), &commit) {
                Ok(checkout) if opens => checkout.read("p/a.py").unwrap_err(),
                other => other.unwrap_err(),
            };
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(place.to_str().unwrap()), "{rev}: {error} {cause}");
            std::fs::remove_file(&place).unwrap();
            std::fs::write(&place, &bytes).unwrap();
        }
    }

    #[test]
    fn errors_name_the_commit_the_repository_and_the_way_out() {
        let repo = TestRepo::new();
        let at = repo.path().display().to_string();
        let message = |path: &Path, rev: &str| Checkout::open(path, rev).unwrap_err().to_string();
        assert!(message(repo.path(), "HEAD").contains("has no commit yet"));
        repo.write("a.py", b"1\n");
        repo.commit("base");
        let absent = "0123456789012345678901234567890123456789";
        let text = message(repo.path(), absent);
        assert!(text.contains(&format!("git -C {at} fetch origin {absent}")), "{text}");
        assert!(
            message(repo.path(), "no-such-branch").contains("\"no-such-branch\" names no commit")
        );
        assert!(message(repo.path(), "HEAD:a.py").contains("names no commit"));
        assert!(message(Path::new("/nowhere/at/all"), "HEAD").contains("no repository at"));
        let plain = tempfile::tempdir().unwrap();
        assert!(message(plain.path(), "HEAD").contains("is not a git repository"));
        std::fs::write(plain.path().join("f"), "x").unwrap();
        assert!(message(&plain.path().join("f"), "HEAD").contains("is not a git repository"));
    }
}
