//! A file as consecutive blocks: functions with all that is in them, what else a class holds, and
//! what else the module holds. Every line belongs to exactly one block.

use std::ops::RangeInclusive;

use crate::source::{DefinitionKind, Module};

/// What a block belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockKind {
    /// Lines outside of classes and functions.
    Module,
    /// Lines of a class outside of its methods: its header, docstring and attributes.
    Class,
    /// A function or method with its decorators and everything inside of it.
    Function,
}

/// Some consecutive lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it belongs to.
    pub kind: BlockKind,
    /// Index of the class or function in [`Module::definitions`]; none at module level.
    pub definition: Option<usize>,
    /// Lines from 1, last line inclusive.
    pub lines: RangeInclusive<usize>,
}

/// Longer blocks are cut: a function of 500 lines would fill a context that needs 30 of them.
const LONGEST: usize = 80;

/// How many lines before [`LONGEST`] a good place to cut is looked for.
const SLACK: usize = 30;

/// The blocks of a text, in order; together they are lines 1 to the last. `module` is what
/// [`crate::source::parse`] gave for this text.
#[must_use]
pub fn blocks(text: &str, module: &Module) -> Vec<Block> {
    let lines = text.lines().collect::<Vec<_>>();
    let owners = owners(lines.len(), module);
    let mut blocks = Vec::<Block>::new();
    let mut start = 0;
    while start < lines.len() {
        let owner = owners[start];
        let length = owners[start..].iter().take_while(|other| **other == owner).count();
        let end = start + length;
        let blank = lines[start..end].iter().all(|line| line.trim().is_empty());
        match blocks.last_mut() {
            // Blank lines between two functions are no block of the class around them.
            Some(before) if blank => before.lines = *before.lines.start()..=end,
            _ => blocks.push(Block {
                kind: kind(owner, module),
                definition: owner,
                lines: start + 1..=end,
            }),
        }
        start = end;
    }
    blocks.into_iter().flat_map(|block| cut(block, &lines)).collect()
}

fn kind(owner: Option<usize>, module: &Module) -> BlockKind {
    match owner.map(|definition| module.definitions[definition].kind) {
        None => BlockKind::Module,
        Some(DefinitionKind::Class) => BlockKind::Class,
        Some(_) => BlockKind::Function,
    }
}

/// For each line the innermost definition that counts: classes, and functions that lie in no other.
fn owners(lines: usize, module: &Module) -> Vec<Option<usize>> {
    let mut owners = vec![None; lines];
    let mut inside = vec![false; module.definitions.len()];
    for (at, definition) in module.definitions.iter().enumerate() {
        // Parents stand before their children.
        inside[at] = definition.parent.is_some_and(|parent| {
            inside[parent] || module.definitions[parent].kind != DefinitionKind::Class
        });
        if !inside[at] {
            let first = definition.lines.start().saturating_sub(1).min(lines);
            let last = (*definition.lines.end()).clamp(first, lines);
            owners[first..last].fill(Some(at));
        }
    }
    owners
}

/// Cuts a long block where few levels of indentation are open, after a blank line if there is one.
fn cut(block: Block, lines: &[&str]) -> Vec<Block> {
    let mut pieces = Vec::new();
    let (mut start, end) = (*block.lines.start(), *block.lines.end());
    while end + 1 - start > LONGEST {
        let candidates = start + LONGEST - SLACK..=start + LONGEST;
        let cost = |line: &usize| {
            let text = lines[line - 1];
            let open = text.len() - text.trim_start().len();
            let after_blank = lines[line - 2].trim().is_empty();
            let is_blank = text.trim().is_empty();
            // Equal places: the later one.
            (is_blank, open.saturating_sub(if after_blank { 4 } else { 0 }), usize::MAX - line)
        };
        let next = candidates.min_by_key(cost).unwrap_or(start + LONGEST);
        pieces.push(Block { lines: start..=next - 1, ..block.clone() });
        start = next;
    }
    pieces.push(Block { lines: start..=end, ..block });
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;

    fn brief(text: &str) -> Vec<String> {
        let module = source::parse(text);
        let blocks = blocks(text, &module);
        let mut next = 1;
        for block in &blocks {
            assert_eq!(*block.lines.start(), next, "{blocks:?}");
            assert!(block.lines.end() >= block.lines.start(), "{blocks:?}");
            next = block.lines.end() + 1;
        }
        assert_eq!(next, text.lines().count() + 1, "{blocks:?}");
        let brief = blocks.iter().map(|block| {
            let name = block.definition.map_or("-", |at| module.definitions[at].qualified.as_str());
            format!("{name} {}-{}", block.lines.start(), block.lines.end())
        });
        brief.collect()
    }

    #[test]
    fn every_line_is_in_one_block_named_after_its_function_or_class() {
        let text = "import os\n\nLIMIT = 3\n\n@wrap\ndef top():\n    def nested():\n        pass\n    \
            return nested\n\nclass A:\n    x = 1\n\n    def f(self):\n        pass\n\n    y = 2\n\n    \
            class B:\n        z = 3\n\nlast = 1\n";
        let expected =
            ["- 1-4", "top 5-10", "A 11-13", "A.f 14-15", "A 16-18", "A.B 19-20", "- 21-22"];
        assert_eq!(brief(text), expected);
        assert_eq!(brief(&text.replace('\n', "\r\n")), expected);
    }

    #[test]
    fn long_blocks_are_cut_where_little_is_open() {
        let body = "        x = 1\n".repeat(28);
        let part = |text, part| format!("{text}    if part == {part}:\n{body}\n");
        let text = (0..10).fold("def long():\n".to_owned(), part);
        let blocks = brief(&text);
        assert_eq!(blocks[..2], ["long 1-61", "long 62-121"]);
        assert!(brief(&"x = 1\n".repeat(1000)).len() >= 12);
    }

    #[test]
    fn odd_files_have_blocks_too() {
        assert_eq!(brief(""), [] as [&str; 0]);
        assert_eq!(brief("\n\n\n"), ["- 1-3"]);
        assert_eq!(brief("no newline"), ["- 1-1"]);
        assert_eq!(brief("def f(): pass; x = 1\n"), ["f 1-1"]);
        let _ = brief("class A(\n  def f(:\n\tx\n\n\u{c}\nclass B: pass; y = 1\nfoo(\n");
        let _ = brief("\r\r\n\u{2028}a\n");
    }
}
