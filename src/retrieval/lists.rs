//! The table of signals: name, group, function. A new signal is one more row; the ranker then has
//! to be trained again.

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;
use crate::retrieval::signal::{definitions, history, imports, lexical, mentions, paths, prior};

/// One ranking of the files for the issue.
pub(crate) struct List {
    /// How reasons and features call it.
    pub(crate) name: &'static str,
    /// What can be left out with it.
    pub(crate) group: &'static str,
    /// Whether it is one of the lists that equal weights fuse.
    pub(crate) fused: bool,
    /// The ranking; files that it says nothing about are absent.
    pub(crate) hits: fn(&Evidence) -> Vec<Hit>,
}

const fn fused(name: &'static str, group: &'static str, hits: fn(&Evidence) -> Vec<Hit>) -> List {
    List { name, group, fused: true, hits }
}

const fn list(name: &'static str, group: &'static str, hits: fn(&Evidence) -> Vec<Hit>) -> List {
    List { name, group, fused: false, hits }
}

/// All lists, in the order in which reasons show. Those fused by equal weights were chosen and
/// found to be enough by prototypes: a thirteenth of weight 1 makes it worse.
pub(crate) const LISTS: &[List] = &[
    fused("traceback", "mentions", mentions::traceback),
    fused("path mention", "mentions", mentions::paths),
    fused("link", "mentions", mentions::links),
    list("frames", "mentions", mentions::all_frames),
    list("modules", "mentions", mentions::modules),
    list("imported", "mentions", mentions::imported),
    fused("bm25", "lexical", lexical::issue),
    fused("bm25 title", "lexical", lexical::title),
    list("bm25 lead", "lexical", lexical::lead),
    list("bm25 inflected", "lexical", lexical::inflected),
    list("bm25 title inflected", "lexical", lexical::inflected_title),
    list("bm25 names", "lexical", lexical::names),
    list("bm25 prose", "lexical", lexical::prose),
    list("bm25 program", "lexical", lexical::program),
    list("bm25 errors", "lexical", lexical::errors),
    list("docs title", "lexical", lexical::docs_title),
    list("docs", "lexical", lexical::docs_whole),
    fused("chunks", "chunks", lexical::chunk_names),
    list("best chunk title", "chunks", lexical::chunk_title),
    list("best chunk whole", "chunks", lexical::chunk_whole),
    list("three chunks", "chunks", lexical::chunk_three),
    list("three chunks inflected", "chunks", lexical::chunk_inflected),
    list("stems", "path", paths::stems),
    list("siblings", "path", paths::folders),
    list("path inflected", "path", lexical::path_inflected),
    fused("path terms", "path", lexical::path_terms),
    list("path title", "path", lexical::path_title),
    list("path names", "path", lexical::path_names),
    fused("definitions", "definitions", definitions::rarest),
    list("all definitions", "definitions", definitions::all),
    list("title definitions", "definitions", definitions::title),
    list("members", "definitions", definitions::members),
    list("bases", "definitions", definitions::bases),
    list("definition terms", "definitions", lexical::definitions_whole),
    list("definition terms title", "definitions", lexical::definitions_title),
    list("error strings", "strings", lexical::errors_strings),
    list("messages", "strings", lexical::messages),
    list("lines", "strings", lexical::lines),
    fused("commit votes", "history", history::votes),
    list("commit votes whole", "history", history::votes_whole),
    list("commit votes inflected", "history", history::votes_inflected),
    list("commit messages inflected", "history", history::messages_inflected),
    list("best commit", "history", history::best_message),
    fused("commit messages", "history", history::messages),
    list("commit messages whole", "history", history::messages_whole),
    list("issue numbers", "history", history::numbers),
    list("changed together", "history", history::together),
    list("fixes", "history", history::fixes),
    list("recent", "history", history::recent),
    fused("tests changed together", "tests", history::test_bridge),
    list("test names", "tests", history::test_names),
    list("below", "imports", imports::below),
    list("above", "imports", imports::above),
    fused("import graph", "imports", imports::propagation),
];

/// A property of a file.
pub(crate) struct Prior {
    /// How features call it.
    pub(crate) name: &'static str,
    /// What can be left out with it.
    pub(crate) group: &'static str,
    /// Its value.
    pub(crate) value: fn(&Evidence, usize) -> f64,
}

const fn prior(
    name: &'static str,
    group: &'static str,
    value: fn(&Evidence, usize) -> f64,
) -> Prior {
    Prior { name, group, value }
}

/// All properties.
pub(crate) const PRIORS: &[Prior] = &[
    prior("length", "prior", prior::length),
    prior("definition count", "prior", prior::definitions),
    prior("depth", "prior", prior::depth),
    prior("package file", "prior", prior::package),
    prior("neighbours", "imports", prior::neighbours),
    prior("stem named", "path", prior::stem_named),
    prior("stem titled", "path", prior::stem_titled),
];
