//! What the ancestors of the base commit changed, as plain data.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use git2::{ObjectType, Odb, Oid};

use crate::repo::Checkout;

/// One ancestor of the base commit, the base itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryCommit {
    /// Its id.
    pub id: [u8; 20],
    /// Ids of its parents.
    pub parents: Vec<[u8; 20]>,
    /// Committer's time, seconds since 1970 UTC.
    pub time: i64,
    /// The whole message; invalid UTF-8 becomes U+FFFD.
    pub message: String,
    /// Files that it added, changed, moved or deleted, sorted by path. Empty for merges, for roots,
    /// for changes of more than 400 files, and where something is missing.
    pub files: Vec<HistoryFile>,
    /// Whether nothing that it was compared with is missing, as happens in shallow and partial
    /// clones; a later fetch may bring it.
    pub complete: bool,
}

/// One file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFile {
    /// Its path after the commit (before it, when the commit deletes it).
    pub path: String,
    /// Its path before the commit, when the commit moves it without changing a byte.
    pub old_path: Option<String>,
}

/// A commit that touches more files than this is a reformatting or an import: it says nothing
/// about any one of them, and its files are not listed.
const BULK: usize = 400;

/// Parsed trees kept: a commit's tree is its child's parent tree, so few are enough.
const TREES: usize = 4096;

/// Reads one commit by its id; None when it is not there.
pub type ReadCommit<'a> = dyn FnMut([u8; 20]) -> Option<HistoryCommit> + 'a;

impl Checkout {
    /// Up to `limit` ancestors of the base commit, the base first, by a walk over parents in
    /// breadth-first order. Dates play no part: later commits with old dates are never seen. A
    /// shallow clone's history simply ends early.
    #[must_use]
    pub fn history(&self, limit: usize) -> Vec<HistoryCommit> {
        let mut commits = Vec::new();
        self.with_commits(|read| {
            self.ancestors(limit, |id| {
                let commit = read(id)?;
                let parents = commit.parents.clone();
                commits.push(commit);
                Some(parents)
            });
        });
        commits
    }

    /// The walk of [`Checkout::history`] for whoever knows commits already: `parents` is asked for
    /// those of each commit once, and answers None for one that is not there.
    pub fn ancestors(
        &self,
        limit: usize,
        mut parents: impl FnMut([u8; 20]) -> Option<Vec<[u8; 20]>>,
    ) {
        let base = raw(self.commit());
        let mut seen = HashSet::from([base]);
        let mut queue = VecDeque::from([base]);
        let mut count = 0;
        while let Some(id) = queue.pop_front().filter(|_| count < limit) {
            if let Some(parents) = parents(id) {
                count += 1;
                queue.extend(parents.into_iter().filter(|parent| seen.insert(*parent)));
            }
        }
    }

    /// Lets `work` read commits by id, which must come from the walk over ancestors. The objects
    /// are opened anew, so that others may read files meanwhile.
    pub fn with_commits<T>(&self, work: impl FnOnce(&mut ReadCommit) -> T) -> T {
        let Ok(repository) = self.open_objects() else { return work(&mut |_| None) };
        let Ok(objects) = repository.odb() else { return work(&mut |_| None) };
        let mut trees = Trees { objects: &objects, cache: HashMap::new() };
        work(&mut |id| {
            let commit = repository.find_commit(Oid::from_bytes(&id).ok()?).ok()?;
            let parents = commit.parent_ids().collect::<Vec<_>>();
            let (files, complete) = match parents.as_slice() {
                [parent] => match repository.find_commit(*parent) {
                    Ok(parent) => match trees.changes(parent.tree_id(), commit.tree_id()) {
                        Ok(files) => (files, true),
                        Err(Unlisted::Bulk) => (Vec::new(), true),
                        Err(Unlisted::Missing) => (Vec::new(), false),
                    },
                    Err(_) => (Vec::new(), false),
                },
                _ => (Vec::new(), true),
            };
            Some(HistoryCommit {
                id,
                parents: parents.into_iter().map(raw).collect(),
                time: commit.committer().when().seconds(),
                message: String::from_utf8_lossy(commit.message_bytes()).into_owned(),
                files,
                complete,
            })
        })
    }
}

fn raw(id: Oid) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&id.as_bytes()[..20]);
    bytes
}

/// Why a commit's files are not listed.
enum Unlisted {
    Bulk,
    Missing,
}

/// Compares trees by ids alone: equal subtrees are never opened and no blob is ever read. Trees are
/// kept as git stores them and compared entry by entry, which is most of the time that a history
/// takes.
struct Trees<'a> {
    objects: &'a Odb<'a>,
    cache: HashMap<Oid, Rc<[u8]>>,
}

#[derive(Default)]
struct Delta {
    removed: BTreeMap<Vec<u8>, Oid>,
    added: BTreeMap<Vec<u8>, Oid>,
    changed: Vec<Vec<u8>>,
}

impl Trees<'_> {
    fn raw(&mut self, tree: Option<Oid>) -> Result<Rc<[u8]>, Unlisted> {
        let Some(tree) = tree else { return Ok(Rc::from([])) };
        if let Some(known) = self.cache.get(&tree) {
            return Ok(Rc::clone(known));
        }
        let object = self.objects.read(tree).map_err(|_| Unlisted::Missing)?;
        if object.kind() != ObjectType::Tree {
            return Err(Unlisted::Missing);
        }
        let raw = Rc::<[u8]>::from(object.data());
        if self.cache.len() >= TREES {
            self.cache.clear();
        }
        self.cache.insert(tree, Rc::clone(&raw));
        Ok(raw)
    }

    fn changes(&mut self, old: Oid, new: Oid) -> Result<Vec<HistoryFile>, Unlisted> {
        let mut delta = Delta::default();
        self.compare((Some(old), Some(new)), &mut Vec::new(), &mut delta)?;
        let mut sources = HashMap::<Oid, Vec<Vec<u8>>>::new();
        for (path, id) in &delta.removed {
            sources.entry(*id).or_default().push(path.clone());
        }
        let mut files = Vec::new();
        for (path, id) in &delta.added {
            // Of several equal files, one is as good as another: the last by path is taken.
            let from = sources.get_mut(id).and_then(Vec::pop);
            if let Some(from) = &from {
                delta.removed.remove(from);
            }
            files.push((path.clone(), from));
        }
        files.extend(delta.changed.into_iter().map(|path| (path, None)));
        files.extend(delta.removed.into_keys().map(|path| (path, None)));
        let file = |(path, old): (Vec<u8>, Option<Vec<u8>>)| {
            let old_path = old.and_then(|old| String::from_utf8(old).ok());
            Some(HistoryFile { path: String::from_utf8(path).ok()?, old_path })
        };
        let mut files = files.into_iter().filter_map(file).collect::<Vec<_>>();
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    fn compare(
        &mut self,
        (old, new): (Option<Oid>, Option<Oid>),
        prefix: &mut Vec<u8>,
        delta: &mut Delta,
    ) -> Result<(), Unlisted> {
        let (before, after) = (self.raw(old)?, self.raw(new)?);
        let (mut before, mut after) = (Entries(&before), Entries(&after));
        loop {
            Entries::skip_equal(&mut before, &mut after);
            let order = match (before.peek(), after.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(was), Some(is)) => was.order(&is),
            };
            let was = if order.is_le() { before.next() } else { None };
            let is = if order.is_ge() { after.next() } else { None };
            if was == is {
                continue;
            }
            let Some(entry) = was.or(is) else { continue };
            let length = prefix.len();
            if !prefix.is_empty() {
                prefix.push(b'/');
            }
            prefix.extend_from_slice(entry.name);
            if entry.kind == Kind::Directory {
                self.compare((was.and_then(|e| e.id()), is.and_then(|e| e.id())), prefix, delta)?;
            } else if entry.kind == Kind::File {
                match (was.and_then(|e| e.id()), is.and_then(|e| e.id())) {
                    (Some(id), None) => drop(delta.removed.insert(prefix.clone(), id)),
                    (None, Some(id)) => drop(delta.added.insert(prefix.clone(), id)),
                    _ => delta.changed.push(prefix.clone()),
                }
            }
            let count = delta.changed.len() + delta.added.len() + delta.removed.len();
            if count > BULK || prefix.len() > 4096 {
                return Err(Unlisted::Bulk);
            }
            prefix.truncate(length);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Directory,
    Submodule,
    File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry<'a> {
    name: &'a [u8],
    kind: Kind,
    /// The mode's digits: a file that only becomes executable has changed too.
    mode: &'a [u8],
    id: &'a [u8],
}

impl Entry<'_> {
    fn id(&self) -> Option<Oid> {
        Oid::from_bytes(self.id).ok()
    }

    /// git's order, in which a directory's name ends with a slash; so a file and a directory of one
    /// name are two entries.
    fn order(&self, other: &Self) -> Ordering {
        let shared = self.name.len().min(other.name.len());
        let end = |entry: &Self| match entry.name.get(shared) {
            Some(byte) => *byte,
            None if entry.kind == Kind::Directory => b'/',
            None => 0,
        };
        self.name[..shared].cmp(&other.name[..shared]).then_with(|| end(self).cmp(&end(other)))
    }
}

/// Entries of a tree as git stores it: mode, blank, name, NUL, 20 bytes of id.
#[derive(Clone, Copy)]
struct Entries<'a>(&'a [u8]);

impl<'a> Entries<'a> {
    fn peek(mut self) -> Option<Entry<'a>> {
        self.next()
    }

    /// Moves both past the entries that they begin with and share, which in two neighbouring
    /// commits are almost all.
    fn skip_equal(before: &mut Self, after: &mut Self) {
        const STEP: usize = 64;
        let chunks = before.0.chunks_exact(STEP).zip(after.0.chunks_exact(STEP));
        let equal = chunks.take_while(|(was, is)| was == is).count() * STEP;
        let mut end = 0;
        while let Some(nul) = memchr::memchr(0, &before.0[end..]).map(|nul| end + nul)
            && nul + 21 <= equal
        {
            end = nul + 21;
        }
        before.0 = &before.0[end..];
        after.0 = &after.0[end..];
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        let blank = memchr::memchr(b' ', self.0)?;
        let nul = memchr::memchr(0, self.0).filter(|nul| *nul > blank)?;
        let id = self.0.get(nul + 1..nul + 21)?;
        let (mode, name) = (&self.0[..blank], &self.0[blank + 1..nul]);
        let kind = match mode {
            b"40000" | b"040000" => Kind::Directory,
            b"160000" => Kind::Submodule,
            _ => Kind::File,
        };
        self.0 = &self.0[nul + 21..];
        Some(Entry { name, kind, mode, id })
    }
}

#[cfg(test)]
mod tests {
    use crate::repo::Checkout;
    use crate::repo::testing::TestRepo;

    #[test]
    fn history_agrees_with_git_log_on_ancestors_files_and_moves() {
        let repo = TestRepo::new();
        repo.write("pkg/a.py", b"a\n");
        repo.write("pkg/sub/b.py", b"b\n");
        repo.commit("root");
        repo.write("pkg/sub/b.py", b"b2\n");
        repo.write("README", b"r\n");
        repo.commit_at("change b\n\nbody", "2030-01-01T00:00:00Z");
        repo.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
        repo.write("pkg/c.py", b"c\n");
        repo.commit("side work");
        repo.git(&["checkout", "-q", "main"]);
        repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        repo.git(&["mv", "pkg/sub", "lib"]);
        repo.git(&["rm", "-q", "pkg/c.py"]);
        repo.commit("move");
        let history = Checkout::open(repo.path(), "HEAD").unwrap().history(100);
        let brief = history
            .iter()
            .map(|commit| {
                let files = commit.files.iter().map(|file| match &file.old_path {
                    Some(old) => format!("{old}>{}", file.path),
                    None => file.path.clone(),
                });
                (commit.message.lines().next().unwrap(), files.collect::<Vec<_>>().join(" "))
            })
            .collect::<Vec<_>>();
        let expected = [
            ("move", "pkg/sub/b.py>lib/b.py pkg/c.py"),
            ("merge", ""),
            ("change b", "README pkg/sub/b.py"),
            ("side work", "pkg/c.py"),
            ("root", ""),
        ];
        assert_eq!(brief, expected.map(|(message, files)| (message, files.to_owned())));
        assert_eq!(history[2].time, 1_893_456_000);
        let count = repo.git(&["rev-list", "--count", "HEAD"]);
        assert_eq!(history.len().to_string(), count.trim());
        let limited = Checkout::open(repo.path(), "HEAD").unwrap().history(2);
        assert_eq!(limited, history[..2]);
    }
}
