//! Import statements of a text that is not parsed: lines are enough to find them.

use crate::source::Import;

/// Imports at the beginning of lines, indented or not; names in parentheses and after backslashes
/// are followed. What only looks like an import, as in a docstring, is taken for one.
#[must_use]
pub fn imports(text: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let statement = line.trim_start();
        if !(statement.starts_with("from ") || statement.starts_with("import ")) {
            continue;
        }
        let mut statement = without_comment(statement).to_owned();
        // A statement that never ends is not one.
        for _ in 0..500 {
            let open = statement.contains('(') && !statement.contains(')');
            let continued = statement.trim_end().ends_with('\\');
            if !open && !continued {
                break;
            }
            let Some((_, next)) = lines.next() else { break };
            if continued {
                statement.truncate(statement.trim_end().len() - 1);
            }
            statement.push(' ');
            statement.push_str(without_comment(next));
        }
        read(&statement, at + 1, &mut imports);
    }
    imports
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or(line)
}

fn read(statement: &str, line: usize, into: &mut Vec<Import>) {
    let name = |part: &str| {
        let name = part.split_whitespace().next().unwrap_or_default();
        let sound = |c: char| c.is_alphanumeric() || "_.*".contains(c);
        (!name.is_empty() && name.chars().all(sound)).then(|| name.to_owned())
    };
    if let Some(modules) = statement.strip_prefix("import ") {
        for module in modules.split(',').filter_map(name) {
            into.push(Import { module, level: 0, names: Vec::new(), line });
        }
        return;
    }
    let Some((module, names)) =
        statement.strip_prefix("from ").and_then(|rest| rest.split_once(" import"))
    else {
        return;
    };
    let module = module.trim();
    let level = module.len() - module.trim_start_matches('.').len();
    let names = names.trim().trim_start_matches('(');
    let names = names.split(')').next().unwrap_or(names).split(',').filter_map(name);
    let names = names.collect::<Vec<_>>();
    let module = module[level..].trim().to_owned();
    if !names.is_empty() && module.chars().all(|c| c.is_alphanumeric() || "_.".contains(c)) {
        into.push(Import { module, level, names, line });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source;

    #[test]
    fn lines_give_what_the_parser_gives() {
        let text = "import os, sys as system\r\nfrom . import sibling  # comment\n\
                    from ..pkg.mod import (\n    a as b,  # one\n    C,\n)\nfrom star import *\n\
                    def f():\n    from late import x, \\\n        y\n";
        let parsed = source::parse(text).imports;
        assert_eq!(parsed.len(), 6);
        assert_eq!(imports(text), parsed);
    }

    #[test]
    fn other_texts_are_no_trouble() {
        let prose = "from the beginning (of time\nimport duties, too\nfrom x import (";
        let modules = imports(prose).into_iter().map(|import| import.module);
        assert_eq!(modules.collect::<Vec<_>>(), Vec::<String>::new());
        assert_eq!(imports("import duties; x"), []);
        let endless = format!("from a import (\n{}", "b,\n".repeat(100_000));
        assert_eq!(imports(&endless).len(), 1);
        assert_eq!(imports(""), []);
    }
}
