//! The outline of a Python file, and where its identifiers, comments and strings are.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range, RangeInclusive};

use serde::{Deserialize, Serialize};
use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

use crate::source::walk;

/// What kind of definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DefinitionKind {
    /// `class C:`
    Class,
    /// `def f():` or `async def f():` outside of classes, also nested in functions.
    Function,
    /// A function directly inside of a class.
    Method,
}

/// A class or function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Its kind.
    pub kind: DefinitionKind,
    /// Its own name.
    pub name: String,
    /// Names of all definitions around it and its own, joined by dots.
    pub qualified: String,
    /// Lines from 1, decorators included, last line inclusive.
    pub lines: RangeInclusive<usize>,
    /// Bytes of the same span.
    pub bytes: Range<usize>,
    /// Index of the definition around it.
    pub parent: Option<usize>,
    /// Whether it is an `async def`.
    pub is_async: bool,
    /// Base classes as written, keyword arguments left out.
    pub bases: Vec<String>,
}

/// A name assigned at module level, or directly in a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Line from 1.
    pub line: usize,
    /// Index of the class around it; None at module level.
    pub class: Option<usize>,
}

/// One imported module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Dotted module name; empty in `from . import x`.
    pub module: String,
    /// Number of leading dots.
    pub level: usize,
    /// Names taken from it (before `as`); empty for `import module`, `*` for a star import.
    pub names: Vec<String>,
    /// Line from 1.
    pub line: usize,
}

/// How well a text could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// Without errors.
    Whole,
    /// With syntax errors; what lies outside of them is right.
    WithErrors,
    /// Too large or too broken to parse: only identifiers are known.
    Scanned,
}

/// What is in a file. Ranges are bytes of the text that was parsed, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Classes and functions in order of their first line.
    pub definitions: Vec<Definition>,
    /// Module and class variables, in order.
    pub variables: Vec<Variable>,
    /// Imports, in order.
    pub imports: Vec<Import>,
    /// Identifiers in code, those of import statements left out.
    pub identifiers: Vec<Range<usize>>,
    /// Docstrings with their quotes.
    pub docstrings: Vec<Range<usize>>,
    /// Comments with their `#`.
    pub comments: Vec<Range<usize>>,
    /// Contents of other string literals, without quotes and interpolations.
    pub strings: Vec<Range<usize>>,
    /// How well it could be read.
    pub parsed: Parsed,
}

/// Larger texts are scanned for identifiers only: nothing that people wrote is as large.
const LARGEST: usize = 2 << 20;

/// Steps of the parser allowed for each byte, in units of its progress callback (100 operations),
/// beyond a fixed thousand. Of 3,000 files of a Python installation none needed more than 0.027;
/// recovery from garbage has no bound of its own.
const STEPS_A_BYTE: f64 = 0.06;

/// Reads a Python file. Never fails: syntax errors, Python 2 and other languages give what can be
/// recognised. The result depends on the text alone.
#[must_use]
pub fn parse(text: &str) -> Module {
    match (text.len() <= LARGEST).then(|| tree(text)).flatten() {
        Some(tree) => walk::module(&tree, text),
        None => walk::scanned(text),
    }
}

thread_local! {
    /// A parser keeps its buffers from one text to the next.
    static PARSER: RefCell<Option<Parser>> = RefCell::new(new_parser());
}

fn new_parser() -> Option<Parser> {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_python::LANGUAGE.into()).ok()?;
    Some(parser)
}

fn tree(text: &str) -> Option<Tree> {
    let bytes = text.as_bytes();
    // Counted in steps and not in seconds, so that a slow machine gives the same outline.
    let mut left = 1000.0 + STEPS_A_BYTE * bytes.len() as f64;
    let mut progress = |_: &ParseState| {
        left -= 1.0;
        if left > 0.0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    PARSER.with_borrow_mut(|parser| {
        let parser = parser.as_mut()?;
        // What an abandoned text has left behind would be taken for the beginning of this one.
        parser.reset();
        parser.parse_with_options(&mut |at, _| &bytes[at.min(bytes.len())..], None, Some(options))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = r#""""Module doc."""
import os, sys as system
from . import sibling
from ..pkg.mod import (a as b, C)
from star import *

LIMIT = 3
first, second = 1, 2

@decorator(x=1)
class Outer(Base, pkg.Other, metaclass=Meta):
    """Class doc."""
    field: int = 0  # a comment

    class Inner:
        pass

    @property
    async def method(self, arg=DEFAULT):
        """Method doc."""
        text = f"literal {self.value!r} tail" + 'plain'
        def nested():
            return helper_call(text)
        return nested

async def top():
    local = 1
"#;

    #[test]
    fn an_outline_has_every_definition_with_its_span() {
        let module = parse(SAMPLE);
        assert_eq!(module.parsed, Parsed::Whole);
        let brief = module.definitions.iter().map(|d| {
            let kind = match d.kind {
                DefinitionKind::Class => "class",
                DefinitionKind::Function => "function",
                DefinitionKind::Method => "method",
            };
            let flag = if d.is_async { " async" } else { "" };
            format!("{kind} {} {}-{}{flag}", d.qualified, d.lines.start(), d.lines.end())
        });
        let expected = [
            "class Outer 10-24",
            "class Outer.Inner 15-16",
            "method Outer.method 18-24 async",
            "function Outer.method.nested 22-23",
            "function top 26-27 async",
        ];
        assert_eq!(brief.collect::<Vec<_>>(), expected);
        assert_eq!(module.definitions[0].bases, ["Base", "pkg.Other"]);
        assert_eq!(module.definitions[3].parent, Some(2));
        let names = module.variables.iter().map(|v| (v.name.as_str(), v.line, v.class));
        let expected =
            [("LIMIT", 7, None), ("first", 8, None), ("second", 8, None), ("field", 13, Some(0))];
        assert_eq!(names.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn imports_and_regions_are_told_apart() {
        let module = parse(SAMPLE);
        let imports = module.imports.iter().map(|i| {
            format!("{}{} [{}] {}", ".".repeat(i.level), i.module, i.names.join(" "), i.line)
        });
        let expected = ["os [] 2", "sys [] 2", ". [sibling] 3", "..pkg.mod [a C] 4", "star [*] 5"];
        assert_eq!(imports.collect::<Vec<_>>(), expected);
        let cut = |ranges: &[Range<usize>]| {
            ranges.iter().map(|r| SAMPLE[r.clone()].to_owned()).collect::<Vec<_>>()
        };
        let docs = ["\"\"\"Module doc.\"\"\"", "\"\"\"Class doc.\"\"\"", "\"\"\"Method doc.\"\"\""];
        assert_eq!(cut(&module.docstrings), docs);
        assert_eq!(cut(&module.comments), ["# a comment"]);
        assert_eq!(cut(&module.strings), ["literal ", " tail", "plain"]);
        let identifiers = cut(&module.identifiers);
        for inside in ["value", "helper_call", "DEFAULT", "decorator", "Base"] {
            assert!(identifiers.iter().any(|name| name == inside), "{inside}");
        }
        for outside in ["system", "sibling", "literal", "comment"] {
            assert!(!identifiers.iter().any(|name| name == outside), "{outside}");
        }
    }

    #[test]
    fn broken_files_keep_what_is_whole() {
        let module = parse(
            "def good():\n    return 1\n\nclass Bad(:\n    x = (\n\ndef later():\n    pass\n",
        );
        assert_eq!(module.parsed, Parsed::WithErrors);
        assert_eq!(module.definitions[0].qualified, "good");
        let python2 = parse("def old():\n    print 'x'\n    raise E, 'y'\n");
        assert_eq!(python2.definitions[0].name, "old");
        assert_eq!(parse("").definitions, []);
        assert_eq!(parse("\r\n\u{c}\u{fffd}").variables, []);
        let crlf = parse("class A:\r\n    def f(self):\r\n        pass\r\n");
        assert_eq!(crlf.definitions[1].lines, 2..=3);
    }

    #[test]
    fn deep_garbled_and_huge_texts_end_in_bounded_time() {
        let started = std::time::Instant::now();
        let deep = format!("{}1{}", "(".repeat(50_000), ")".repeat(50_000));
        let _ = parse(&deep);
        let _ = parse(&"class A(\n".repeat(30_000));
        let _ = parse(&"def f(:\n\t[{ '".repeat(30_000));
        let flat = format!("x = [{}]\n", "'some text', ".repeat(60_000));
        assert_eq!(parse(&flat).strings.len(), 60_000);
        let huge = "needle_name = 1\n".repeat(300_000);
        let module = parse(&huge);
        assert_eq!(module.parsed, Parsed::Scanned);
        assert_eq!(&huge[module.identifiers[7].clone()], "needle_name");
        assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    }
}
