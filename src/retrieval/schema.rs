//! How a file becomes tantivy documents: one for each function, one before them for the rest.
//!
//! A document is made of the blob's bytes alone, never of its path, so that what is indexed once
//! serves every commit that holds the blob. Terms of a file are those of its documents together.

use std::ops::Range;

use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{TextAnalyzer, TokenizerManager};

use crate::retrieval::facts::{self, Facts};
use crate::retrieval::phrases;
use crate::retrieval::terms::{self, TermTokenizer};
use crate::source::{DefinitionKind, Module};

/// Raised whenever the same bytes would be indexed differently: older indexes are dropped.
pub const INDEX_VERSION: u32 = 2;

/// What a field holds, how much one occurrence counts, and how much length is held against it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FieldWeight {
    pub(crate) name: &'static str,
    pub(crate) weight: f64,
    pub(crate) b: f64,
}

/// The field of paths, which is not in tantivy: a blob has no path.
pub(crate) const PATH: usize = 0;
/// Fields that chunks are searched by, with what one occurrence counts.
pub(crate) const CHUNK_FIELDS: [(usize, u32); 4] = [(CODE, 1), (DOCS, 1), (STRINGS, 1), (NAMES, 3)];
/// What one occurrence in a file's path counts for each of its chunks.
pub(crate) const CHUNK_PATH: u32 = 2;
pub(crate) const DEFINITIONS: usize = 1;
const CODE: usize = 2;
pub(crate) const DOCS: usize = 3;
pub(crate) const STRINGS: usize = 4;
const IMPORTS: usize = 5;
/// Runs of words in string literals, see [`phrases::each_run`]; not part of BM25F.
pub(crate) const PHRASES: usize = 6;
/// Lines of code, see [`phrases::line_term`]; not part of BM25F.
pub(crate) const LINES: usize = 7;
/// The function's name and those of the classes around it; not part of BM25F.
const NAMES: usize = 8;

/// The path holds the file's stem three times; definitions hold names of classes three times, of
/// functions twice, of variables once.
pub(crate) const FIELDS: [FieldWeight; 9] = [
    FieldWeight { name: "path", weight: 4.0, b: 0.4 },
    FieldWeight { name: "definitions", weight: 2.5, b: 0.4 },
    FieldWeight { name: "code", weight: 1.0, b: 0.7 },
    FieldWeight { name: "docs", weight: 0.4, b: 0.7 },
    FieldWeight { name: "strings", weight: 0.8, b: 0.7 },
    FieldWeight { name: "imports", weight: 0.5, b: 0.4 },
    FieldWeight { name: "phrases", weight: 0.0, b: 0.0 },
    FieldWeight { name: "lines", weight: 0.0, b: 0.0 },
    FieldWeight { name: "names", weight: 0.0, b: 0.0 },
];

/// tantivy's schema and its fields by our numbers.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) schema: Schema,
    /// The key of the blob, on its first document only.
    pub(crate) key: [Field; 2],
    /// [`Facts`] of the blob, on its first document only.
    pub(crate) facts: Field,
    /// By field number; the entry of [`PATH`] is not used.
    pub(crate) text: [Field; FIELDS.len()],
}

/// Names of the two columns of keys.
pub(crate) const KEYS: [&str; 2] = ["key_high", "key_low"];

impl Layout {
    pub(crate) fn new() -> Self {
        let mut schema = Schema::builder();
        let key = KEYS.map(|name| schema.add_u64_field(name, FAST));
        let facts = schema.add_bytes_field("facts", STORED);
        let mut number = 0;
        let text = FIELDS.map(|field| {
            let (tokenizer, option) = match number {
                PHRASES => ("phrases", IndexRecordOption::WithFreqs),
                LINES => ("lines", IndexRecordOption::WithFreqs),
                _ => ("code", IndexRecordOption::WithFreqs),
            };
            number += 1;
            let indexing = TextFieldIndexing::default().set_tokenizer(tokenizer);
            let options =
                TextOptions::default().set_indexing_options(indexing.set_index_option(option));
            schema.add_text_field(field.name, options)
        });
        Self { schema: schema.build(), key, facts, text }
    }

    /// The tokenizers that the schema names.
    pub(crate) fn tokenizers() -> TokenizerManager {
        let tokenizers = TokenizerManager::default();
        let analyzer = |each| TextAnalyzer::builder(TermTokenizer(each)).build();
        tokenizers.register("code", analyzer(|text, emit| terms::each_term(text, emit)));
        tokenizers.register("phrases", analyzer(|text, emit| phrases::each_run_term(text, emit)));
        tokenizers.register("lines", analyzer(|text, emit| phrases::each_line(text, emit)));
        tokenizers
    }

    /// Documents of one blob: the rest of the file, then [`facts::functions`] in their order.
    /// Without a module the whole text is code.
    pub(crate) fn documents(
        &self,
        key: [u64; 2],
        text: &str,
        module: Option<Module>,
    ) -> Vec<TantivyDocument> {
        let mut first = TantivyDocument::default();
        first.add_u64(self.key[0], key[0]);
        first.add_u64(self.key[1], key[1]);
        let Some(module) = module else {
            first.add_text(self.text[CODE], text);
            return vec![first];
        };
        let mut functions = Vec::new();
        let mut documents = vec![first];
        for definition in facts::functions(&module.definitions) {
            functions.push(definition.bytes.clone());
            let mut document = TantivyDocument::default();
            document.add_text(self.text[NAMES], &definition.qualified);
            documents.push(document);
        }
        let regions = [
            (CODE, &module.identifiers[..]),
            (DOCS, &module.docstrings),
            (DOCS, &module.comments),
            (STRINGS, &module.strings),
        ];
        for (field, ranges) in regions {
            for (document, joined) in split(text, ranges, &functions) {
                documents[document].add_text(self.text[field], joined);
            }
        }
        let mut literals = String::new();
        for range in &module.strings {
            literals.push_str(&text[range.clone()]);
            literals.push('\n');
        }
        documents[0].add_text(self.text[PHRASES], literals);
        documents[0].add_text(self.text[LINES], text);
        documents[0].add_text(self.text[DEFINITIONS], definitions(&module));
        documents[0].add_text(self.text[IMPORTS], imports(&module));
        let facts = Facts::from(module);
        documents[0].add_bytes(self.facts, &facts.encode());
        documents
    }
}

/// Joins the ranges that lie in each function, and those outside of all; by document number.
fn split(text: &str, ranges: &[Range<usize>], functions: &[Range<usize>]) -> Vec<(usize, String)> {
    let mut rest = String::new();
    let mut inside = Vec::<(usize, String)>::new();
    let mut function = 0;
    for range in ranges {
        while function < functions.len() && functions[function].end <= range.start {
            function += 1;
        }
        let place = functions.get(function).filter(|f| f.start <= range.start);
        let into = if place.is_none() {
            &mut rest
        } else {
            if inside.last().is_none_or(|(document, _)| *document != function + 1) {
                inside.push((function + 1, String::new()));
            }
            &mut inside.last_mut().expect("pushed above").1
        };
        push(into, &text[range.clone()]);
    }
    if !rest.is_empty() {
        inside.push((0, rest));
    }
    inside
}

fn definitions(module: &Module) -> String {
    let mut text = String::new();
    for definition in &module.definitions {
        let times = if definition.kind == DefinitionKind::Class { 3 } else { 2 };
        for _ in 0..times {
            push(&mut text, &definition.name);
        }
    }
    for variable in &module.variables {
        push(&mut text, &variable.name);
    }
    text
}

fn imports(module: &Module) -> String {
    let mut text = String::new();
    for import in &module.imports {
        push(&mut text, &import.module);
        for name in &import.names {
            push(&mut text, name);
        }
    }
    text
}

fn push(text: &mut String, word: &str) {
    text.push_str(word);
    text.push(' ');
}
