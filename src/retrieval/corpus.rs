//! The files of a commit: their roles, outlines, and the indexes over them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;

use crate::retrieval::blobs::{BlobKey, IndexError, Reading, Segments};
use crate::retrieval::facts::Facts;
use crate::retrieval::index::Index;
use crate::retrieval::modules::Modules;
use crate::retrieval::role::{Role, role, shipped_directory};

/// A file that may be ranked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusFile {
    /// Path from the root, `/` between components.
    pub path: String,
    /// First 16 bytes of the blob's id; None for what is ranked by its path alone.
    pub blob: Option<u128>,
}

/// Files with what is known of them. Positions in `files` name a file everywhere in this module.
pub struct Corpus {
    pub(crate) files: Vec<CorpusFile>,
    /// Outlines of sources; None for tests and asides, and for what is no Python.
    pub(crate) parsed: Vec<Option<Facts>>,
    pub(crate) roles: Vec<Role>,
    /// Positions of sources, ascending.
    pub(crate) sources: Vec<usize>,
    pub(crate) by_path: FxHashMap<String, usize>,
    by_name: FxHashMap<String, Vec<usize>>,
    pub(crate) modules: Modules,
    /// Over sources.
    pub(crate) index: Index,
    /// Over tests and asides.
    pub(crate) others: Index,
    links: OnceLock<(Links, Links)>,
}

/// For files, the files that they are joined with.
pub(crate) type Links = BTreeMap<usize, Vec<usize>>;

impl std::fmt::Debug for Corpus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Corpus").field("files", &self.files.len()).finish_non_exhaustive()
    }
}

/// The first half of making a corpus: which blobs of `files` are read how. A second half,
/// [`Plan::corpus`], needs them indexed.
#[derive(Debug, Clone)]
pub struct Plan {
    files: Vec<CorpusFile>,
    roles: Vec<Role>,
    modules: Modules,
}

impl Plan {
    /// Sorts the files by path and drops what has the path of another.
    #[must_use]
    pub fn new(mut files: Vec<CorpusFile>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files.dedup_by(|a, b| a.path == b.path);
        let roles = files.iter().map(|file| role(&file.path)).collect();
        let modules = Modules::of(files.iter().map(|file| file.path.as_str()));
        Self { files, roles, modules }
    }

    fn key(&self, at: usize) -> Option<BlobKey> {
        let file = &self.files[at];
        let python = self.roles[at] == Role::Source && is_python(&file.path);
        let reading = if python { Reading::Python } else { Reading::Words };
        file.blob.map(|blob| BlobKey::new(blob, reading))
    }

    /// What has to be in the index, and a path of each, without duplicates.
    #[must_use]
    pub fn wanted(&self) -> Vec<(BlobKey, &str)> {
        let mut wanted = FxHashMap::default();
        for at in 0..self.files.len() {
            if let Some(key) = self.key(at) {
                wanted.entry(key).or_insert(self.files[at].path.as_str());
            }
        }
        let mut wanted = wanted.into_iter().collect::<Vec<_>>();
        wanted.sort_unstable_by_key(|(_, path)| *path);
        wanted
    }

    /// Takes directories named `test` or `testing` that sources outside of them import for
    /// sources; says whether there were any, and then [`Plan::wanted`] has grown.
    ///
    /// # Errors
    /// [`IndexError`] when the index cannot be read.
    pub fn lift(&mut self, segments: &Segments) -> Result<bool, IndexError> {
        let candidate = |at: &usize| {
            self.roles[*at] == Role::Test && shipped_directory(&self.files[*at].path).is_some()
        };
        let candidates = (0..self.files.len()).filter(candidate).collect::<Vec<_>>();
        if candidates.is_empty() {
            return Ok(false);
        }
        let parsed = self.parsed(segments)?;
        let mut imported = BTreeSet::new();
        for (at, facts) in parsed.iter().enumerate() {
            for import in facts.iter().flat_map(|facts| &facts.imports) {
                imported.extend(self.modules.targets(at, import));
            }
        }
        let test = |at: &usize| self.roles[*at] == Role::Test;
        let shipped = imported.into_iter().filter(test);
        let shipped = shipped.filter_map(|at| shipped_directory(&self.files[at].path));
        let shipped = shipped.map(str::to_owned).collect::<BTreeSet<_>>();
        let mut any = false;
        for at in candidates {
            if shipped_directory(&self.files[at].path).is_some_and(|d| shipped.contains(d)) {
                self.roles[at] = Role::Source;
                any = true;
            }
        }
        Ok(any)
    }

    fn parsed(&self, segments: &Segments) -> Result<Vec<Option<Facts>>, IndexError> {
        let python = |key: &BlobKey| key.reading() == Reading::Python;
        let keys = (0..self.files.len()).map(|at| self.key(at).filter(python));
        segments.facts(&keys.collect::<Vec<_>>())
    }

    /// The corpus; what is not in the index is ranked by its path alone.
    ///
    /// # Errors
    /// [`IndexError`] when the index cannot be read.
    pub fn corpus(self, segments: &Arc<Segments>) -> Result<Corpus, IndexError> {
        let parsed = self.parsed(segments)?;
        let is_source = |at: &usize| self.roles[*at] == Role::Source;
        let (sources, others) = (0..self.files.len()).partition::<Vec<_>, _>(is_source);
        let over = |positions: &[usize]| {
            Index::build(segments, positions, |at| self.files[at].path.as_str(), |at| self.key(at))
        };
        let (index, others) = (over(&sources), over(&others));
        let mut by_name = FxHashMap::<_, Vec<_>>::default();
        for (at, file) in self.files.iter().enumerate() {
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            by_name.entry(name.to_owned()).or_default().push(at);
        }
        let by_path = self.files.iter().enumerate().map(|(at, file)| (file.path.clone(), at));
        let by_path = by_path.collect();
        let Self { files, roles, modules } = self;
        Ok(Corpus {
            files,
            parsed,
            roles,
            sources,
            by_path,
            by_name,
            modules,
            index,
            others,
            links: OnceLock::new(),
        })
    }
}

impl Corpus {
    /// Positions of files whose last component is `name`, ascending.
    pub(crate) fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// For each source the files that it imports, and the files that import it.
    pub(crate) fn links(&self) -> &(Links, Links) {
        self.links.get_or_init(|| {
            let (mut down, mut up) = (Links::new(), Links::new());
            for file in &self.sources {
                for target in self.modules.edges(*file, &self.parsed) {
                    down.entry(*file).or_default().push(target);
                    up.entry(target).or_default().push(*file);
                }
            }
            (down, up)
        })
    }

    /// Files that are ranked first, and all files.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.sources.len(), self.files.len())
    }
}

/// Whether a file is parsed as Python.
pub(crate) fn is_python(path: &str) -> bool {
    path.ends_with(".py") || path.ends_with(".pyi")
}
