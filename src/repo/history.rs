//! What the ancestors of the base commit changed, as plain data.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::rc::Rc;

use git2::{Oid, Repository};

use crate::repo::Checkout;

/// One ancestor of the base commit, the base itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryCommit {
    /// Full id.
    pub id: String,
    /// Committer's time, seconds since 1970 UTC.
    pub time: i64,
    /// The whole message; invalid UTF-8 becomes U+FFFD.
    pub message: String,
    /// Files that it added, changed, moved or deleted, sorted by path. Empty for merges, for roots
    /// and where a partial clone lacks a tree.
    pub files: Vec<HistoryFile>,
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

impl Checkout {
    /// Up to `limit` ancestors of the base commit, the base first, by a walk over parents in
    /// breadth-first order. Dates play no part: later commits with old dates are never seen. A
    /// shallow clone's history simply ends early.
    #[must_use]
    pub fn history(&self, limit: usize) -> Vec<HistoryCommit> {
        let repository = self.objects();
        let mut trees = Trees { repository: &repository, cache: HashMap::new() };
        let mut seen = HashSet::from([self.commit()]);
        let mut queue = VecDeque::from([self.commit()]);
        let mut commits = Vec::new();
        while let Some(id) = queue.pop_front() {
            if commits.len() >= limit {
                break;
            }
            let Ok(commit) = repository.find_commit(id) else { continue };
            let parents = commit.parent_ids().collect::<Vec<_>>();
            let files = match parents.as_slice() {
                [parent] => repository
                    .find_commit(*parent)
                    .ok()
                    .and_then(|parent| trees.changes(parent.tree_id(), commit.tree_id()))
                    .unwrap_or_default(),
                _ => Vec::new(),
            };
            commits.push(HistoryCommit {
                id: id.to_string(),
                time: commit.committer().when().seconds(),
                message: String::from_utf8_lossy(commit.message_bytes()).into_owned(),
                files,
            });
            queue.extend(parents.into_iter().filter(|parent| seen.insert(*parent)));
        }
        commits
    }
}

type Entries = Rc<BTreeMap<Vec<u8>, (Oid, i32)>>;

/// Compares trees by ids alone: equal subtrees are never opened and no blob is ever read.
struct Trees<'a> {
    repository: &'a Repository,
    cache: HashMap<Oid, Entries>,
}

#[derive(Default)]
struct Delta {
    removed: BTreeMap<Vec<u8>, Oid>,
    added: BTreeMap<Vec<u8>, Oid>,
    changed: Vec<Vec<u8>>,
}

impl Trees<'_> {
    fn entries(&mut self, tree: Oid) -> Option<Entries> {
        if let Some(known) = self.cache.get(&tree) {
            return Some(Rc::clone(known));
        }
        let object = self.repository.find_tree(tree).ok()?;
        let entries = object
            .iter()
            .map(|entry| (entry.name_bytes().to_vec(), (entry.id(), entry.filemode_raw())))
            .collect::<BTreeMap<_, _>>();
        let entries = Rc::new(entries);
        if self.cache.len() >= TREES {
            self.cache.clear();
        }
        self.cache.insert(tree, Rc::clone(&entries));
        Some(entries)
    }

    /// None when a tree is absent or the commit is a bulk change.
    fn changes(&mut self, old: Oid, new: Oid) -> Option<Vec<HistoryFile>> {
        let mut delta = Delta::default();
        self.compare(Some(old), Some(new), &mut Vec::new(), &mut delta)?;
        let mut files = Vec::new();
        let mut sources = HashMap::<Oid, Vec<Vec<u8>>>::new();
        for (path, id) in &delta.removed {
            sources.entry(*id).or_default().push(path.clone());
        }
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
        let mut files = files
            .into_iter()
            .filter_map(|(path, old)| {
                let old_path = old.and_then(|old| String::from_utf8(old).ok());
                Some(HistoryFile { path: String::from_utf8(path).ok()?, old_path })
            })
            .collect::<Vec<_>>();
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Some(files)
    }

    fn compare(
        &mut self,
        old: Option<Oid>,
        new: Option<Oid>,
        prefix: &mut Vec<u8>,
        delta: &mut Delta,
    ) -> Option<()> {
        let none = Entries::default();
        let before = old.map_or(Some(Rc::clone(&none)), |id| self.entries(id))?;
        let after = new.map_or(Some(none), |id| self.entries(id))?;
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        for name in names {
            let (was, is) = (before.get(name), after.get(name));
            if was == is {
                continue;
            }
            let length = prefix.len();
            if !prefix.is_empty() {
                prefix.push(b'/');
            }
            prefix.extend_from_slice(name);
            let directory = |entry: Option<&(Oid, i32)>| {
                entry.filter(|(_, mode)| *mode == 0o040_000).map(|(id, _)| *id)
            };
            let file = |entry: Option<&(Oid, i32)>| {
                entry
                    .filter(|(_, mode)| *mode != 0o040_000 && *mode != 0o160_000)
                    .map(|(id, _)| *id)
            };
            match (file(was), file(is)) {
                (Some(_), Some(_)) => delta.changed.push(prefix.clone()),
                (Some(id), None) => drop(delta.removed.insert(prefix.clone(), id)),
                (None, Some(id)) => drop(delta.added.insert(prefix.clone(), id)),
                (None, None) => {}
            }
            if delta.changed.len() + delta.added.len() + delta.removed.len() > BULK
                || prefix.len() > 4096
            {
                return None;
            }
            let (was, is) = (directory(was), directory(is));
            if was.is_some() || is.is_some() {
                self.compare(was, is, prefix, delta)?;
            }
            prefix.truncate(length);
        }
        Some(())
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
