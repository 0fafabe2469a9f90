//! Outlines of files for the model: classes, signatures and first lines of docstrings, with the
//! lines that each definition takes.

use crate::artifact::Place;
use crate::source::{BlockKind, DefinitionKind, Module, blocks};

/// A file of which places are wanted.
pub(super) struct Outlined {
    pub(super) path: String,
    pub(super) text: String,
    pub(super) module: Module,
    /// Its places so far.
    pub(super) places: Vec<Place>,
}

/// Bytes of code that make one token, on the safe side.
const BYTES_A_TOKEN: usize = 3;

/// Characters of a signature or docstring shown.
const LONGEST: usize = 160;

/// Outlines of as many files as fit, the first ones first; a file of which not all fits ends with
/// a count of what is left out. Each file may take half of what is left, the last one all of it.
pub(super) fn render(files: &[Outlined], tokens: usize) -> String {
    let mut left = tokens.saturating_mul(BYTES_A_TOKEN);
    let mut text = String::new();
    for (number, file) in files.iter().enumerate() {
        let share = if number + 1 == files.len() { left } else { left.div_ceil(2) };
        let outline = outline(file, share);
        if outline.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        left = left.saturating_sub(outline.len() + 2);
        text.push_str(&outline);
    }
    text
}

/// One file's outline within `bytes`; empty where not even its path fits.
fn outline(file: &Outlined, bytes: usize) -> String {
    let mut out = format!("### {} ({} lines)", file.path, file.text.lines().count());
    if out.len() > bytes {
        return String::new();
    }
    let entries = entries(file);
    for (at, entry) in entries.iter().enumerate() {
        let rest = format!("\n... {} more definitions", entries.len() - at);
        if out.len() + 1 + entry.len() + rest.len() > bytes {
            if out.len() + rest.len() <= bytes {
                out.push_str(&rest);
            }
            break;
        }
        out.push('\n');
        out.push_str(entry);
    }
    out
}

/// One text for each definition that no function encloses; for files without any, one for each
/// block of lines.
fn entries(file: &Outlined) -> Vec<String> {
    let lines = file.text.lines().collect::<Vec<_>>();
    let module = &file.module;
    let mut entries = Vec::new();
    for (at, definition) in module.definitions.iter().enumerate() {
        let mut parents =
            std::iter::successors(definition.parent, |p| module.definitions[*p].parent);
        if parents.any(|parent| module.definitions[parent].kind != DefinitionKind::Class) {
            continue;
        }
        let depth = definition.qualified.matches('.').count();
        let indent = "    ".repeat(depth);
        let (first, last) = (*definition.lines.start(), *definition.lines.end());
        let signature = signature(&lines, at, module);
        let mut entry = format!("{indent}{signature}  # lines {first}-{last}");
        if let Some(doc) = documentation(file, at) {
            entry.push_str(&format_doc(&indent, &doc));
        }
        entries.push(entry);
    }
    if entries.is_empty() {
        for block in blocks(&file.text, module) {
            let (first, last) = block.lines.into_inner();
            let line = lines[first - 1..last].iter().find(|line| !line.trim().is_empty());
            if block.kind == BlockKind::Module
                && let Some(line) = line
            {
                entries.push(format!("{}  # lines {first}-{last}", shortened(line.trim())));
            }
        }
    }
    entries
}

fn format_doc(indent: &str, doc: &str) -> String {
    format!("\n{indent}    \"\"\"{doc}\"\"\"")
}

/// From `class` or `def` to the colon, on one line.
fn signature(lines: &[&str], definition: usize, module: &Module) -> String {
    let definition = &module.definitions[definition];
    let end = (*definition.lines.end()).min(lines.len());
    let own = lines.get(definition.lines.start() - 1..end).unwrap_or_default();
    let starts = |line: &&str| {
        let text = line.trim_start();
        ["class ", "def ", "async "].iter().any(|word| text.starts_with(word))
    };
    let mut text = String::new();
    for line in own.iter().skip_while(|line| !starts(line)).take(12) {
        if !text.is_empty() && !text.ends_with('(') {
            text.push(' ');
        }
        text.push_str(line.trim());
        if text.ends_with(':') || text.len() > LONGEST {
            break;
        }
    }
    shortened(&text)
}

/// First line of the docstring, if there is one.
fn documentation(file: &Outlined, definition: usize) -> Option<String> {
    let module = &file.module;
    let bytes = &module.definitions[definition].bytes;
    let inside = |at: usize| bytes.start <= at && at < bytes.end;
    let range = module.docstrings.iter().find(|range| inside(range.start))?;
    // That of a definition within is not this one's.
    let nested = module.definitions.iter().enumerate().any(|(at, inner)| {
        at != definition && inside(inner.bytes.start) && inner.bytes.contains(&range.start)
    });
    let text = file.text.get(range.clone())?.trim_start_matches(['r', 'R', 'u', 'U', 'b', 'B']);
    let text = text.trim_matches(['"', '\'']).trim();
    let line = text.lines().next().unwrap_or_default().trim();
    (!nested && !line.is_empty()).then(|| shortened(line))
}

fn shortened(text: &str) -> String {
    let end = text.floor_char_boundary(LONGEST);
    if end < text.len() { format!("{}...", &text[..end]) } else { text.to_owned() }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::source;

    pub(crate) fn outlined(path: &str, text: &str) -> Outlined {
        let module = source::parse(text);
        Outlined { path: path.into(), text: text.into(), module, places: Vec::new() }
    }

    pub(crate) const TEXT: &str = "import os\n\nclass Jar(dict):\n    \"\"\"A jar.\n\n    More.\"\"\"\n\n    \
        def get(\n        self,\n        name,\n    ):\n        def helper():\n            \"\"\"No.\"\"\"\n        \
        return helper\n\n    @property\n    def size(self):\n        '''How many.'''\n        \
        return 1\n\n\ndef get(url):\n    return url\n";

    #[test]
    fn an_outline_has_signatures_lines_and_documentation() {
        let text = render(&[outlined("a/b.py", TEXT)], 1000);
        assert_eq!(
            text,
            "### a/b.py (23 lines)\nclass Jar(dict):  # lines 3-19\n    \"\"\"A jar.\"\"\"\n    \
            def get(self, name, ):  # lines 8-14\n    def size(self):  # lines 16-19\n        \
            \"\"\"How many.\"\"\"\ndef get(url):  # lines 22-23"
        );
        assert_eq!(
            render(&[outlined("c.py", "x = 1\n\ny = 2\n")], 1000),
            "### c.py (3 lines)\nx = 1  # lines 1-3"
        );
    }

    #[test]
    fn a_budget_is_kept_at_any_size() {
        let big =
            (0..500).map(|n| format!("def function_{n}(a, b):\n    pass\n")).collect::<String>();
        let files = [outlined("a.py", &big), outlined("b.py", &big), outlined("c.py", TEXT)];
        for tokens in [0, 1, 5, 20, 100, 1000, 5000, 50_000] {
            let text = render(&files, tokens);
            assert!(text.len() <= tokens * BYTES_A_TOKEN, "{tokens}: {}", text.len());
            if tokens >= 100 {
                assert!(text.contains("### a.py") && text.contains("### c.py"), "{text}");
            }
        }
    }
}
