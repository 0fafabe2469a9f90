//! The table of signals: name, weight, function. Weights are equal: on the development rows that
//! beats one learned set and loses to none by more than noise.

use crate::retrieval::fuse::Hit;
use crate::retrieval::rank::Evidence;
use crate::retrieval::signal::{definitions, history, imports, lexical, mentions};

/// One ranking of the files for the issue.
pub(crate) struct List {
    /// How reasons call it.
    pub(crate) name: &'static str,
    /// Its part in the fusion.
    pub(crate) weight: f64,
    /// The ranking; files that it says nothing about are absent.
    pub(crate) hits: fn(&Evidence) -> Vec<Hit>,
}

const fn list(name: &'static str, hits: fn(&Evidence) -> Vec<Hit>) -> List {
    List { name, weight: 1.0, hits }
}

/// All lists, in the order in which reasons show.
pub(crate) const LISTS: &[List] = &[
    list("traceback", mentions::traceback),
    list("path mention", mentions::paths),
    list("link", mentions::links),
    list("bm25", lexical::issue),
    list("bm25 title", lexical::title),
    list("best chunk", lexical::chunks),
    list("path terms", lexical::path_terms),
    list("definitions", definitions::rarest),
    list("commit votes", history::votes),
    list("commit messages", history::messages),
    list("tests changed together", history::test_bridge),
    list("import graph", imports::propagation),
];
