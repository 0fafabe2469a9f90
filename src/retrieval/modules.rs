//! Dotted names to files, and files to the files that they import.

use std::collections::{BTreeSet, HashMap};

use crate::retrieval::corpus::is_python;
use crate::retrieval::facts::Facts;
use crate::source::Import;

/// Directories that hold packages without being one.
const ROOTS: &[&str] = &["src/", "lib/", "python/"];

/// Which file a module name stands for.
#[derive(Debug, Clone)]
pub(crate) struct Modules {
    by_name: HashMap<String, usize>,
    names: Vec<Option<String>>,
    packages: Vec<bool>,
}

impl Modules {
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut by_name = HashMap::new();
        let mut names = Vec::new();
        let mut packages = Vec::new();
        for (at, path) in paths.enumerate() {
            let name = is_python(path).then(|| name(path));
            if let Some(name) = &name {
                by_name.entry(name.clone()).or_insert(at);
            }
            packages.push(path.ends_with("__init__.py"));
            names.push(name);
        }
        Self { by_name, names, packages }
    }

    /// Files that one import statement of file `from` reads: submodules where the names are such,
    /// else the module.
    pub(crate) fn targets(&self, from: usize, import: &Import) -> Vec<usize> {
        let Some(base) = self.absolute(from, import) else { return Vec::new() };
        let found = |name: &str| self.by_name.get(name).copied();
        if import.names.is_empty() {
            return found(&base).into_iter().collect();
        }
        let targets = import
            .names
            .iter()
            .filter_map(|name| found(&format!("{base}.{name}")).or_else(|| found(&base)))
            .collect::<BTreeSet<_>>();
        targets.into_iter().filter(|target| *target != from).collect()
    }

    fn absolute(&self, from: usize, import: &Import) -> Option<String> {
        if import.level == 0 {
            return Some(import.module.clone());
        }
        let own = self.names[from].as_deref()?;
        let mut parts = own.split('.').collect::<Vec<_>>();
        let up = import.level - usize::from(self.packages[from]);
        parts.truncate(parts.len().checked_sub(up)?);
        if !import.module.is_empty() {
            parts.push(&import.module);
        }
        Some(parts.join("."))
    }

    /// Files that define what `from` imports: names that a package's `__init__.py` passes on are
    /// followed to where they come from, because that is where the code is.
    pub(crate) fn edges(&self, from: usize, parsed: &[Option<Facts>]) -> BTreeSet<usize> {
        let mut edges = BTreeSet::new();
        for import in parsed[from].iter().flat_map(|module| &module.imports) {
            for target in self.targets(from, import) {
                if self.packages[target] && !self.packages[from] {
                    for name in &import.names {
                        edges.extend(self.origin(target, name, parsed));
                    }
                } else {
                    edges.insert(target);
                }
            }
        }
        edges.remove(&from);
        edges
    }

    /// The file of a module's full dotted name.
    pub(crate) fn find(&self, module: &str) -> Option<usize> {
        self.by_name.get(module).copied()
    }

    /// The file that defines what `module` offers as `name`, through re-exports of packages.
    pub(crate) fn origin(
        &self,
        module: usize,
        name: &str,
        parsed: &[Option<Facts>],
    ) -> Option<usize> {
        self.follow(module, name, parsed, 3)
    }

    /// The file that defines what `from` imports as `name`.
    pub(crate) fn imported(
        &self,
        from: usize,
        name: &str,
        parsed: &[Option<Facts>],
    ) -> Option<usize> {
        let imports = &parsed[from].as_ref()?.imports;
        imports.iter().filter(|import| import.names.iter().any(|taken| taken == name)).find_map(
            |import| {
                let target = self.find(&self.absolute(from, import)?)?;
                self.follow(target, name, parsed, 3)
            },
        )
    }

    fn follow(
        &self,
        package: usize,
        name: &str,
        parsed: &[Option<Facts>],
        depth: usize,
    ) -> Option<usize> {
        let module = parsed[package].as_ref()?;
        let defined = module.definitions.iter().any(|d| d.parent.is_none() && d.name == name)
            || module.variables.iter().any(|v| v.class.is_none() && v.name == name);
        if defined || !self.packages[package] || depth == 0 {
            return defined.then_some(package);
        }
        module.imports.iter().find_map(|import| {
            let star = import.names.iter().any(|taken| taken == "*");
            if !star && !import.names.iter().any(|taken| taken == name) {
                return None;
            }
            let base = self.absolute(package, import)?;
            let found = |name: &str| self.by_name.get(name).copied();
            if let Some(submodule) = found(&format!("{base}.{name}")) {
                return Some(submodule);
            }
            let target = found(&base).filter(|target| *target != package)?;
            let origin = self.follow(target, name, parsed, depth - 1);
            if star { origin } else { origin.or(Some(target)) }
        })
    }
}

fn name(path: &str) -> String {
    let path = ROOTS.iter().find_map(|root| path.strip_prefix(root)).unwrap_or(path);
    let path = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    path.strip_suffix("/__init__").unwrap_or(path).replace('/', ".")
}
