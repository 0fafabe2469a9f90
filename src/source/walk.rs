//! One pass over a syntax tree, without recursion: trees of generated files are deep.

use std::ops::{Range, RangeInclusive};
use std::sync::LazyLock;

use tree_sitter::{Language, Node, Tree, TreeCursor};

use crate::source::{Definition, DefinitionKind, Import, Module, Parsed, Variable};

/// Numbers of the kinds of nodes that a walk stops at: comparing the names of all nodes would cost
/// a fifth of what parsing does.
struct Kinds {
    comment: u16,
    identifier: u16,
    string: u16,
    string_content: u16,
    import: u16,
    import_from: u16,
    future_import: u16,
    module: u16,
    decorated: u16,
    class: u16,
    function: u16,
    assignment: u16,
}

static KINDS: LazyLock<Kinds> = LazyLock::new(|| {
    let language = Language::from(tree_sitter_python::LANGUAGE);
    let kind = |name| language.id_for_node_kind(name, true);
    Kinds {
        comment: kind("comment"),
        identifier: kind("identifier"),
        string: kind("string"),
        string_content: kind("string_content"),
        import: kind("import_statement"),
        import_from: kind("import_from_statement"),
        future_import: kind("future_import_statement"),
        module: kind("module"),
        decorated: kind("decorated_definition"),
        class: kind("class_definition"),
        function: kind("function_definition"),
        assignment: kind("assignment"),
    }
});

/// Everything of a parsed text.
pub(crate) fn module(tree: &Tree, text: &str) -> Module {
    let parsed = if tree.root_node().has_error() { Parsed::WithErrors } else { Parsed::Whole };
    let mut walk = Walk {
        text,
        kinds: &KINDS,
        open: Vec::new(),
        documented: None,
        decorated: None,
        module: empty(parsed),
    };
    let mut cursor = tree.walk();
    loop {
        let descend = walk.enter(cursor.node());
        if descend && cursor.goto_first_child() {
            continue;
        }
        if !onward(&mut cursor) {
            return walk.module;
        }
    }
}

/// Identifiers alone, of a text that is not parsed.
pub(crate) fn scanned(text: &str) -> Module {
    let mut module = empty(Parsed::Scanned);
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        let inside = c == '_' || c.is_alphanumeric();
        match (start, inside) {
            (None, true) if !c.is_numeric() => start = Some(at),
            (Some(from), false) => {
                module.identifiers.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    module
}

fn empty(parsed: Parsed) -> Module {
    Module {
        definitions: Vec::new(),
        variables: Vec::new(),
        imports: Vec::new(),
        identifiers: Vec::new(),
        docstrings: Vec::new(),
        comments: Vec::new(),
        strings: Vec::new(),
        parsed,
    }
}

fn onward(cursor: &mut TreeCursor) -> bool {
    loop {
        if cursor.goto_next_sibling() {
            return true;
        }
        if !cursor.goto_parent() {
            return false;
        }
    }
}

struct Walk<'a> {
    text: &'a str,
    kinds: &'a Kinds,
    /// Definitions around the current node: index and end byte.
    open: Vec<(usize, usize)>,
    /// First byte of the docstring of what was entered last. Asking a string for its parent would
    /// search from the root each time.
    documented: Option<usize>,
    /// Span of the decorated definition that was entered last, and the definition's node.
    decorated: Option<(usize, Span)>,
    module: Module,
}

impl Walk<'_> {
    /// Records a node; says whether its children matter.
    fn enter(&mut self, node: Node) -> bool {
        while self.open.last().is_some_and(|(_, end)| node.start_byte() >= *end) {
            self.open.pop();
        }
        let (kind, kinds) = (node.kind_id(), self.kinds);
        if kind == kinds.comment {
            self.module.comments.push(node.byte_range());
        } else if kind == kinds.identifier {
            self.module.identifiers.push(node.byte_range());
        } else if kind == kinds.string && self.documented == Some(node.start_byte()) {
            self.module.docstrings.push(node.byte_range());
        } else if kind == kinds.string_content {
            self.module.strings.push(node.byte_range());
        } else if kind == kinds.import {
            self.import(node);
        } else if kind == kinds.import_from || kind == kinds.future_import {
            self.import_from(node);
        } else {
            if kind == kinds.module {
                self.documented = docstring(node);
            } else if kind == kinds.decorated {
                let inner = node.child_by_field_name("definition");
                self.decorated = inner.map(|inner| (inner.id(), Span::of(node)));
            } else if kind == kinds.class || kind == kinds.function {
                self.define(node);
            } else if kind == kinds.assignment {
                self.assign(node);
            }
            return true;
        }
        false
    }

    fn slice(&self, node: Node) -> &str {
        &self.text[node.byte_range()]
    }

    fn define(&mut self, node: Node) {
        let Some(name) = node.child_by_field_name("name") else { return };
        let name = self.slice(name).to_owned();
        let span = match self.decorated.take() {
            Some((id, span)) if id == node.id() => span,
            _ => Span::of(node),
        };
        self.documented = node.child_by_field_name("body").and_then(docstring).or(self.documented);
        let parent = self.open.last().map(|(index, _)| *index);
        let around = parent.map(|index| &self.module.definitions[index]);
        let kind = match (node.kind(), around) {
            ("class_definition", _) => DefinitionKind::Class,
            (_, Some(around)) if around.kind == DefinitionKind::Class => DefinitionKind::Method,
            _ => DefinitionKind::Function,
        };
        let qualified = around.map_or(name.clone(), |a| format!("{}.{name}", a.qualified));
        self.open.push((self.module.definitions.len(), node.end_byte()));
        let definition = Definition {
            kind,
            name,
            qualified,
            lines: span.lines,
            bytes: span.bytes,
            parent,
            is_async: node.child(0).is_some_and(|first| first.kind() == "async"),
            bases: self.bases(node),
        };
        self.module.definitions.push(definition);
    }

    fn bases(&self, node: Node) -> Vec<String> {
        let Some(list) = node.child_by_field_name("superclasses") else { return Vec::new() };
        let mut cursor = list.walk();
        list.named_children(&mut cursor)
            .filter(|base| matches!(base.kind(), "identifier" | "attribute" | "subscript"))
            .map(|base| self.slice(base).to_owned())
            .collect()
    }

    fn assign(&mut self, node: Node) {
        let class = match self.open.last() {
            None => None,
            Some((index, _)) => {
                if self.module.definitions[*index].kind != DefinitionKind::Class {
                    return;
                }
                Some(*index)
            }
        };
        let Some(left) = node.child_by_field_name("left") else { return };
        let mut names = Vec::new();
        if left.kind() == "identifier" {
            names.push(left);
        } else if matches!(left.kind(), "pattern_list" | "tuple_pattern") {
            let mut cursor = left.walk();
            names.extend(left.named_children(&mut cursor).filter(|n| n.kind() == "identifier"));
        }
        for name in names {
            let line = name.start_position().row + 1;
            let name = self.slice(name).to_owned();
            self.module.variables.push(Variable { name, line, class });
        }
    }

    fn import(&mut self, node: Node) {
        let line = node.start_position().row + 1;
        let mut cursor = node.walk();
        for name in node.children_by_field_name("name", &mut cursor) {
            let module = self.imported(name);
            self.module.imports.push(Import { module, level: 0, names: Vec::new(), line });
        }
    }

    fn import_from(&mut self, node: Node) {
        let line = node.start_position().row + 1;
        let written = match node.child_by_field_name("module_name") {
            Some(module) => self.slice(module).split_whitespace().collect::<String>(),
            None => "__future__".to_owned(),
        };
        let level = written.bytes().take_while(|byte| *byte == b'.').count();
        let mut cursor = node.walk();
        let mut names = node
            .children_by_field_name("name", &mut cursor)
            .map(|name| self.imported(name))
            .collect::<Vec<_>>();
        let mut cursor = node.walk();
        if node.named_children(&mut cursor).any(|child| child.kind() == "wildcard_import") {
            names.push("*".to_owned());
        }
        let module = written[level..].to_owned();
        self.module.imports.push(Import { module, level, names, line });
    }

    /// `a.b` of `a.b` or of `a.b as c`.
    fn imported(&self, node: Node) -> String {
        let name = node.child_by_field_name("name").unwrap_or(node);
        self.slice(name).split_whitespace().collect()
    }
}

struct Span {
    lines: RangeInclusive<usize>,
    bytes: Range<usize>,
}

impl Span {
    fn of(node: Node) -> Self {
        let Range { start, end } = node.start_position().row..node.end_position().row;
        // A block that ends at a line's first column ends on the line before.
        let last = if node.end_position().column == 0 && end > start { end } else { end + 1 };
        Self { lines: start + 1..=last, bytes: node.byte_range() }
    }
}

/// First byte of the string that stands alone as the first statement of a module or block.
fn docstring(holder: Node) -> Option<usize> {
    let mut cursor = holder.walk();
    let first = holder.named_children(&mut cursor).find(|node| node.kind() != "comment")?;
    let inner = first.child(0).filter(|_| first.kind() == "expression_statement")?;
    (inner.kind() == "string" && first.child_count() == 1).then(|| inner.start_byte())
}
