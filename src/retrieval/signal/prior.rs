//! What a file is, whatever the issue says.

use crate::retrieval::evidence::Evidence;

/// `ln(1 + terms of code and documentation)`.
pub(crate) fn length(evidence: &Evidence, file: usize) -> f64 {
    let module = evidence.corpus.parsed[file].as_ref();
    let lines = module.and_then(|module| module.definitions.iter().map(|d| *d.lines.end()).max());
    (1.0 + lines.unwrap_or(0) as f64).ln()
}

/// `ln(1 + definitions)`.
pub(crate) fn definitions(evidence: &Evidence, file: usize) -> f64 {
    let module = evidence.corpus.parsed[file].as_ref();
    (1.0 + module.map_or(0.0, |module| module.definitions.len() as f64)).ln()
}

/// Folders above the file.
pub(crate) fn depth(evidence: &Evidence, file: usize) -> f64 {
    evidence.corpus.files[file].path.matches('/').count() as f64
}

/// Whether it is a package's own file.
pub(crate) fn package(evidence: &Evidence, file: usize) -> f64 {
    f64::from(evidence.corpus.files[file].path.ends_with("__init__.py"))
}

/// `ln(1 + files that import it or that it imports)`.
pub(crate) fn neighbours(evidence: &Evidence, file: usize) -> f64 {
    (1.0 + evidence.edges().get(&file).map_or(0.0, |edges| edges.len() as f64)).ln()
}

/// Whether the issue says the file's stem as a word.
pub(crate) fn stem_named(evidence: &Evidence, file: usize) -> f64 {
    let stem = stem(&evidence.corpus.files[file].path);
    f64::from(stem.len() > 2 && evidence.issue.words.contains_key(stem))
}

/// Whether the title says the file's stem as a word.
pub(crate) fn stem_titled(evidence: &Evidence, file: usize) -> f64 {
    let stem = stem(&evidence.corpus.files[file].path);
    f64::from(evidence.issue.titled.iter().any(|word| word.eq_ignore_ascii_case(stem)))
}

fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}
