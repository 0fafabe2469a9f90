//! A tantivy index in memory over some files of the tree, and BM25F over its postings.
//!
//! tantivy's own scorer has one length norm and fixed constants for each field and adds the fields
//! up, which loses to one saturation over the weighted sum of all fields (Robertson and Zaragoza,
//! "The Probabilistic Relevance Framework", 2009, section 3.5); so postings are scored here.

use tantivy::index::SegmentReader;
use tantivy::postings::Postings;
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};
use tantivy::{DocSet, IndexBuilder, TERMINATED, TantivyDocument, Term};

use crate::retrieval::terms::{CodeTokenizer, Query};
use crate::retrieval::{SourceFile, phrases};
use crate::source::{DefinitionKind, Module};

/// What a field holds, how much one occurrence counts, and how much length is held against it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldWeight {
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
    pub(crate) b: f64,
}

/// The field of paths.
pub(crate) const PATH: usize = 0;
/// The field of names of definitions.
pub(crate) const DEFINITIONS: usize = 1;
/// The field of docstrings and comments.
pub(crate) const DOCS: usize = 3;
/// The field of string literals.
pub(crate) const STRINGS: usize = 4;
/// The field of runs of words in string literals, see [`phrases::each_run`].
pub(crate) const PHRASES: usize = 6;
/// The field of lines of code, see [`phrases::line_term`].
pub(crate) const LINES: usize = 7;
/// The path holds the file's stem three times; definitions hold names of classes three times, of
/// functions twice, of variables once.
pub(crate) const FIELDS: [FieldWeight; 6] = [
    FieldWeight { name: "path", weight: 4.0, b: 0.4 },
    FieldWeight { name: "definitions", weight: 2.5, b: 0.4 },
    FieldWeight { name: "code", weight: 1.0, b: 0.75 },
    FieldWeight { name: "docs", weight: 0.8, b: 0.75 },
    FieldWeight { name: "strings", weight: 0.8, b: 0.75 },
    FieldWeight { name: "imports", weight: 0.5, b: 0.4 },
];
/// Fields that only searches of their own see; their terms are made as they are, split at blanks.
const TERM_FIELDS: [&str; 2] = ["phrases", "lines"];
pub(crate) const K1: f64 = 1.2;

/// Bytes that tantivy may use for one index before it would spill; it only sizes its hash table.
const MEMORY: usize = 64 << 20;

/// An index of files; documents are numbered in the order in which the files were given.
pub(crate) struct Index {
    /// Position in the corpus of each document.
    files: Vec<usize>,
    segment: Option<SegmentReader>,
    fields: Vec<Field>,
}

impl Index {
    /// Indexes `positions` of `files`; those without a parsed module as plain text.
    pub(crate) fn build(
        files: &[SourceFile],
        positions: &[usize],
        parsed: &[Option<Module>],
    ) -> Self {
        let mut schema = Schema::builder();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("code")
            .set_index_option(IndexRecordOption::WithFreqs);
        let options = TextOptions::default().set_indexing_options(indexing);
        let mut fields = FIELDS
            .iter()
            .map(|f| schema.add_text_field(f.name, options.clone()))
            .collect::<Vec<_>>();
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("whitespace")
            .set_index_option(IndexRecordOption::WithFreqs);
        let options = TextOptions::default().set_indexing_options(indexing);
        fields.extend(TERM_FIELDS.map(|name| schema.add_text_field(name, options.clone())));
        let tokenizers = TokenizerManager::default();
        tokenizers.register("code", TextAnalyzer::builder(CodeTokenizer).build());
        let builder = IndexBuilder::new().schema(schema.build()).tokenizers(tokenizers);
        let index = Self { files: positions.to_vec(), segment: None, fields };
        let segment = index
            .write(builder, files, parsed)
            .expect("an index in memory with a constant schema meets no I/O and no other writer");
        Self { segment, ..index }
    }

    fn write(
        &self,
        builder: IndexBuilder,
        files: &[SourceFile],
        parsed: &[Option<Module>],
    ) -> tantivy::Result<Option<SegmentReader>> {
        let directory = tantivy::directory::RamDirectory::create();
        let mut writer = builder.single_segment_index_writer(directory, MEMORY)?;
        for at in &self.files {
            let mut document = TantivyDocument::default();
            let texts = texts(&files[*at], parsed[*at].as_ref());
            let terms = own_terms(&files[*at], parsed[*at].as_ref());
            for (field, text) in self.fields.iter().zip(texts.into_iter().chain(terms)) {
                document.add_text(*field, text);
            }
            writer.add_document(document)?;
        }
        let searcher = writer.finalize()?.reader()?.searcher();
        Ok(searcher.segment_readers().first().cloned())
    }

    /// BM25F over all fields.
    pub(crate) fn search(&self, query: &Query) -> Vec<(usize, f64)> {
        self.score(query, &FIELDS.iter().enumerate().map(|(at, f)| (at, *f)).collect::<Vec<_>>())
    }

    /// BM25 over one field.
    pub(crate) fn search_field(&self, query: &Query, field: usize, b: f64) -> Vec<(usize, f64)> {
        self.score(query, &[(field, FieldWeight { name: "", weight: 1.0, b })])
    }

    fn score(&self, query: &Query, fields: &[(usize, FieldWeight)]) -> Vec<(usize, f64)> {
        let Some(segment) = &self.segment else { return Vec::new() };
        let documents = self.files.len();
        let mut scores = vec![0.0; documents];
        let mut readers = Vec::new();
        for (at, weight) in fields {
            let field = self.fields[*at];
            let (Ok(postings), Ok(norms)) =
                (segment.inverted_index(field), segment.get_fieldnorms_reader(field))
            else {
                continue;
            };
            let average = (postings.total_num_tokens() as f64 / documents as f64).max(1.0);
            readers.push((field, weight, postings, norms, average));
        }
        let mut frequencies = vec![0.0; documents];
        let mut touched = Vec::new();
        for (term, weight) in query {
            for (field, field_weight, postings, norms, average) in &readers {
                let key = Term::from_field_text(*field, term);
                let Ok(Some(mut found)) =
                    postings.read_postings(&key, IndexRecordOption::WithFreqs)
                else {
                    continue;
                };
                while found.doc() != TERMINATED {
                    let document = found.doc() as usize;
                    let length = f64::from(norms.fieldnorm(found.doc()));
                    let norm = 1.0 - field_weight.b + field_weight.b * length / average;
                    if frequencies[document] == 0.0 {
                        touched.push(document);
                    }
                    frequencies[document] +=
                        field_weight.weight * f64::from(found.term_freq()) / norm;
                    found.advance();
                }
            }
            let idf = idf(documents, touched.len());
            for document in touched.drain(..) {
                let frequency = std::mem::take(&mut frequencies[document]);
                scores[document] += weight * idf * frequency / (K1 + frequency);
            }
        }
        let hits = scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0);
        hits.map(|(document, score)| (self.files[document], score)).collect()
    }
}

/// Inverse document frequency as BM25 has it, never negative.
pub(crate) fn idf(documents: usize, with_term: usize) -> f64 {
    let (n, df) = (documents as f64, with_term as f64);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln()
}

/// Runs of words of string literals and lines of code, as terms.
fn own_terms(file: &SourceFile, module: Option<&Module>) -> [String; 2] {
    let (mut runs, mut lines) = (String::new(), String::new());
    let Some(module) = module else { return [runs, lines] };
    for literal in &module.strings {
        phrases::each_run(&file.text[literal.clone()], |run| push(&mut runs, run));
    }
    for term in file.text.lines().filter_map(phrases::line_term) {
        push(&mut lines, &term);
    }
    [runs, lines]
}

/// One text for each field.
pub(crate) fn texts(file: &SourceFile, module: Option<&Module>) -> [String; 6] {
    let stem = file.path.rsplit('/').next().unwrap_or(&file.path);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let path = format!("{} {stem} {stem}", file.path);
    let Some(module) = module else {
        return [
            path,
            String::new(),
            file.text.clone(),
            String::new(),
            String::new(),
            String::new(),
        ];
    };
    let mut definitions = String::new();
    for definition in &module.definitions {
        let times = if definition.kind == DefinitionKind::Class { 3 } else { 2 };
        for _ in 0..times {
            push(&mut definitions, &definition.name);
        }
    }
    for variable in &module.variables {
        push(&mut definitions, &variable.name);
    }
    let mut imports = String::new();
    for import in &module.imports {
        push(&mut imports, &import.module);
        for name in &import.names {
            push(&mut imports, name);
        }
    }
    let join = |ranges: &[std::ops::Range<usize>]| {
        let mut text = String::new();
        for range in ranges {
            push(&mut text, &file.text[range.clone()]);
        }
        text
    };
    let mut docs = join(&module.docstrings);
    docs.push_str(&join(&module.comments));
    [path, definitions, join(&module.identifiers), docs, join(&module.strings), imports]
}

fn push(text: &mut String, word: &str) {
    text.push_str(word);
    text.push(' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retrieval::terms;
    use crate::source;

    #[test]
    fn scores_are_bm25f_over_the_weighted_sum_of_fields() {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let files = [
            file("apple.py", "pear = 1\n"),
            file("b.py", "# pear pear\nplum(pear)\n"),
            file("c.py", "plum()\n"),
        ];
        let parsed = files.iter().map(|f| Some(source::parse(&f.text))).collect::<Vec<_>>();
        let index = Index::build(&files, &[0, 1, 2], &parsed);
        let scores = index.search(&terms::query("pear", "", 0.0));
        // Lengths: definitions 1 0 0; code 1 2 1; docs 0 2 0.
        let norm = |b: f64, length: f64, average: f64| 1.0 - b + b * length / average;
        let idf = (1.0_f64 + (3.0 - 2.0 + 0.5) / (2.0 + 0.5)).ln();
        let first = 2.5 / norm(0.4, 1.0, 1.0) + 1.0 / norm(0.75, 1.0, 4.0 / 3.0);
        let second = 1.0 / norm(0.75, 2.0, 4.0 / 3.0) + 0.8 * 2.0 / norm(0.75, 2.0, 1.0);
        let expected = [(0, idf * first / (1.2 + first)), (1, idf * second / (1.2 + second))];
        assert_eq!(scores.len(), 2, "{scores:?}");
        for ((file, score), (expected_file, expected_score)) in scores.iter().zip(expected) {
            assert_eq!(*file, expected_file);
            assert!((score - expected_score).abs() < 1e-9, "{score} {expected_score}");
        }
        let by_path = index.search_field(&terms::query("apple pear", "", 0.0), PATH, 0.5);
        assert_eq!(by_path.iter().map(|(file, _)| *file).collect::<Vec<_>>(), [0]);
    }
}
