//! The files of a tree, parsed side by side and told apart by role.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::retrieval::SourceFile;
use crate::retrieval::modules::Modules;
use crate::retrieval::role::{Role, role, shipped_directory};
use crate::source::{self, Module};

/// Files with what is known of them. Positions in `files` name a file everywhere in this module.
pub(crate) struct Corpus<'a> {
    pub(crate) files: &'a [SourceFile],
    /// Parsed sources; None for tests and asides, and for what is no Python.
    pub(crate) parsed: Vec<Option<Module>>,
    pub(crate) roles: Vec<Role>,
    /// Positions of sources, ascending.
    pub(crate) sources: Vec<usize>,
    /// Positions of everything else, ascending.
    pub(crate) others: Vec<usize>,
    pub(crate) by_path: HashMap<&'a str, usize>,
    by_name: HashMap<&'a str, Vec<usize>>,
    pub(crate) modules: Modules,
}

impl<'a> Corpus<'a> {
    pub(crate) fn build(files: &'a [SourceFile]) -> Self {
        let mut roles = files.iter().map(|file| role(&file.path)).collect::<Vec<_>>();
        let mut parsed = (0..files.len()).map(|_| None).collect::<Vec<_>>();
        let modules = Modules::of(files);
        let wanted = (0..files.len()).filter(|at| roles[*at] == Role::Source).collect::<Vec<_>>();
        parse(files, &wanted, &mut parsed);
        let shipped = shipped(files, &roles, &parsed, &modules);
        let lifted = (0..files.len()).filter(|at| {
            roles[*at] == Role::Test
                && shipped_directory(&files[*at].path).is_some_and(|d| shipped.contains(d))
        });
        let lifted = lifted.collect::<Vec<_>>();
        parse(files, &lifted, &mut parsed);
        for at in lifted {
            roles[at] = Role::Source;
        }
        let (sources, others) = (0..files.len()).partition(|at| roles[*at] == Role::Source);
        let by_path = files.iter().enumerate().map(|(at, file)| (file.path.as_str(), at)).collect();
        let mut by_name = HashMap::<_, Vec<_>>::new();
        for (at, file) in files.iter().enumerate() {
            let name = file.path.rsplit('/').next().unwrap_or(&file.path);
            by_name.entry(name).or_default().push(at);
        }
        Self { files, parsed, roles, sources, others, by_path, by_name, modules }
    }

    /// Positions of files whose last component is `name`, ascending.
    pub(crate) fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Directories named `test` or `testing` that sources outside of them import.
fn shipped<'a>(
    files: &'a [SourceFile],
    roles: &[Role],
    parsed: &[Option<Module>],
    modules: &Modules,
) -> BTreeSet<&'a str> {
    let mut imported = BTreeSet::new();
    for (at, module) in parsed.iter().enumerate() {
        for import in module.iter().flat_map(|module| &module.imports) {
            imported.extend(modules.targets(at, import));
        }
    }
    let test = |at: &usize| roles[*at] == Role::Test;
    imported.into_iter().filter(test).filter_map(|at| shipped_directory(&files[at].path)).collect()
}

/// Parses the wanted Python files on all cores; each result has its own place, so the order in
/// which threads finish does not show.
fn parse(files: &[SourceFile], wanted: &[usize], into: &mut [Option<Module>]) {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(wanted.len()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(at) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let file = &files[*at];
                    if is_python(&file.path) {
                        let module = source::parse(&file.text);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((*at, module));
                    }
                }
            });
        }
    });
    for (at, module) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        into[at] = Some(module);
    }
}

/// Whether a file is parsed as Python.
pub(crate) fn is_python(path: &str) -> bool {
    path.ends_with(".py") || path.ends_with(".pyi")
}
