//! From a model's answer to lines of files, however the model wrote them.
//!
//! Read line by line: a path (`file: a/b.py`, `### a/b.py`, or alone) chooses the file; `class: X`,
//! `function: X.f`, `method: f`, `X.f`, `def f(...)` and `line: 10-20` name a place in it.

use std::sync::LazyLock;

use regex::Regex;

use crate::source::{Definition, DefinitionKind};
use crate::stage::localize::answer::Paths;
use crate::stage::localize::skeleton::Outlined;

/// A place that an answer names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Index of the file.
    pub(super) file: usize,
    /// Qualified name of the innermost definition around; empty at module level.
    pub(super) name: String,
    /// First and last line, from 1, inclusive.
    pub(super) lines: [usize; 2],
}

/// Most places of one answer; an answer that names everything says nothing.
const MOST: usize = 40;

macro_rules! pattern {
    ($name:ident, $text:expr) => {
        static $name: LazyLock<Regex> =
            LazyLock::new(|| Regex::new($text).expect("a constant pattern that the tests use"));
    };
}

pattern!(DECORATION, r"^\s*(?:[-*+•>]\s+|\(?\d{1,3}[.)]\s+)*[`*]*");
pattern!(
    KEYED,
    r"(?i)^(class|function|func|method|def|async def|variable|lines?|l)\b[`*]*\s*[:=]?\s*[`*]*(.*)$"
);
pattern!(SPAN, r"^[Ll]?(\d+)(?:\s*(?:-|–|—|to|:|,|\.\.)\s*[Ll]?(\d+))?\b");
pattern!(NAME, r"^([A-Za-z_]\w*(?:(?:\.|::)[A-Za-z_]\w*)*)");
// `a/b.py:120-130`, `a/b.py::Class.method`, `a/b.py - function f`.
pattern!(AFTER_PATH, r"\.\w+[`*]*(?:::?|#L?|\s+[-–—:]?\s*|,\s*)(.+)$");

/// Places that an answer names, each once, in its order.
pub(super) fn named(answer: &str, files: &[Outlined]) -> Vec<Named> {
    let paths = Paths::new(files.iter().map(|file| file.path.as_str()));
    let mut places = Vec::<Named>::new();
    let (mut file, mut class) = (None, None);
    for line in answer.lines() {
        let bare = DECORATION.replace(line.trim_end(), "");
        let bare = bare.trim_end_matches(['`', '*']).trim();
        if bare.is_empty() || bare.starts_with("```") || bare.starts_with("~~~") {
            continue;
        }
        let keyed = KEYED.is_match(bare);
        let path = if keyed { None } else { paths.resolve(line) };
        let rest = if let Some(path) = path {
            file = files.iter().position(|file| file.path == path.path);
            class = None;
            AFTER_PATH.captures(bare).map(|found| found[1].to_owned()).unwrap_or_default()
        } else {
            bare.to_owned()
        };
        let Some(number) = file else { continue };
        if let Some(place) = place(number, &files[number], &rest, &mut class)
            && !places.contains(&place)
        {
            places.push(place);
        }
        if places.len() == MOST {
            break;
        }
    }
    places
}

fn place(number: usize, file: &Outlined, text: &str, class: &mut Option<String>) -> Option<Named> {
    let text = text.trim().trim_matches(['`', '*', '"', '\'']).trim();
    let length = file.text.lines().count();
    let (key, value) = match KEYED.captures(text) {
        Some(found) => (found[1].to_ascii_lowercase(), found[2].trim().to_owned()),
        None => (String::new(), text.to_owned()),
    };
    if key.is_empty() || key.starts_with('l') {
        if let Some(found) = SPAN.captures(&value) {
            let first = found[1].parse::<usize>().ok()?;
            let last = found.get(2).and_then(|last| last.as_str().parse().ok()).unwrap_or(first);
            let (first, last) = (first.min(last), last.max(first).min(length));
            let fits = first >= 1 && first <= length;
            return fits.then(|| Named {
                file: number,
                name: around(file, first, last),
                lines: [first, last],
            });
        }
        if !key.is_empty() {
            return None;
        }
    }
    let name = NAME.captures(&value)?[1].replace("::", ".");
    // A line without a key is a name only if it is nothing else.
    if key.is_empty() && value.trim_end_matches(['(', ')', ':']).len() > name.len() {
        return None;
    }
    if key == "variable" {
        let variable = file.module.variables.iter().find(|variable| variable.name == name)?;
        let lines = [variable.line, variable.line];
        return Some(Named { file: number, name: around(file, lines[0], lines[1]), lines });
    }
    let found = definition(file, &name, key == "class", class.as_deref())?;
    let definition = &file.module.definitions[found];
    if definition.kind == DefinitionKind::Class {
        *class = Some(definition.qualified.clone());
    }
    let lines = [*definition.lines.start(), *definition.lines.end()];
    Some(Named { file: number, name: definition.qualified.clone(), lines })
}

/// The definition that a name means: by its whole name, within the class last named (Agentless's
/// order), by its end, or ignoring case; not one of several.
fn definition(file: &Outlined, name: &str, class: bool, current: Option<&str>) -> Option<usize> {
    let all = file.module.definitions.iter().enumerate();
    let all = all.filter(|(_, one)| !class || one.kind == DefinitionKind::Class);
    let all = all.collect::<Vec<_>>();
    let within = current.map(|class| format!("{class}.{name}"));
    let ending = format!(".{name}");
    let lower = name.to_lowercase();
    let first = |matches: &dyn Fn(&str) -> bool| {
        all.iter().find(|(_, one)| matches(&one.qualified)).map(|(at, _)| *at)
    };
    let only = |matches: &dyn Fn(&str) -> bool| {
        let mut found = all.iter().filter(|(_, one)| matches(&one.qualified));
        found.next().filter(|_| found.next().is_none()).map(|(at, _)| *at)
    };
    first(&|qualified| qualified == name)
        .or_else(|| first(&|qualified| Some(qualified) == within.as_deref()))
        .or_else(|| only(&|qualified| qualified.ends_with(&ending)))
        .or_else(|| only(&|qualified| qualified.to_lowercase() == lower))
        // A module's name before it.
        .or_else(|| {
            let ends = |at: &&(usize, &Definition)| {
                name.strip_suffix(&at.1.qualified).is_some_and(|before| before.ends_with('.'))
            };
            all.iter().filter(ends).max_by_key(|(_, one)| one.qualified.len()).map(|(at, _)| *at)
        })
}

/// Name of the innermost class or function around some lines.
fn around(file: &Outlined, first: usize, last: usize) -> String {
    let holds =
        file.module.definitions.iter().rev().find(|definition| {
            *definition.lines.start() <= first && last <= *definition.lines.end()
        });
    holds.map(|definition| definition.qualified.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::localize::skeleton::tests::{TEXT, outlined};

    fn check(answer: &str) -> Vec<String> {
        let files =
            [outlined("pkg/jar.py", TEXT), outlined("pkg/other.py", "LIMIT = 3\n\nx = 1\n")];
        let named = named(answer, &files);
        let brief = named.iter().map(|named| {
            format!("{} {} {}-{}", named.file, named.name, named.lines[0], named.lines[1])
        });
        brief.collect()
    }

    #[test]
    fn places_are_read_in_the_form_that_the_prompt_asks_for() {
        let answer = "First:\n```\nfile: pkg/jar.py\nclass: Jar\nfunction: Jar.size\nfunction: get\n\
            line: 1-2\n\nfile: pkg/other.py\nvariable: LIMIT\nline: 3\n```\n";
        assert_eq!(
            check(answer),
            ["0 Jar 3-19", "0 Jar.size 16-19", "0 get 22-23", "0  1-2", "1  1-1", "1  3-3",]
        );
    }

    #[test]
    fn other_forms_are_read_too() {
        let size = ["0 Jar.size 16-19"];
        for answer in [
            "pkg/jar.py\nJar.size",
            "### pkg/jar.py\n- `Jar.size()`",
            "**pkg/jar.py**\n1. function: `Jar.size`",
            "- `pkg/jar.py`\n  - method: size",
            "pkg/jar.py::Jar.size",
            "pkg/jar.py: Jar.size",
            "jar.py\nfunction: jar.Jar.size",
            "file: `pkg/jar.py`\r\nfunction: JAR.SIZE\r\n",
            "./pkg/jar.py\ndef size(self):",
            "* pkg/jar.py - function size",
        ] {
            assert_eq!(check(answer), size, "{answer}");
        }
        for answer in [
            "pkg/jar.py:22-23",
            "pkg/jar.py\nlines 22 to 23",
            "pkg/jar.py\n- L22-L99",
            "pkg/jar.py\nLines: 23-22",
            "pkg/jar.py#L22-L23",
        ] {
            assert_eq!(check(answer), ["0 get 22-23"], "{answer}");
        }
    }

    #[test]
    fn what_is_not_there_is_left_out() {
        for answer in [
            "",
            "class: Jar",
            "no/such.py\nclass: Jar",
            "pkg/jar.py\nfunction: nothing\nclass: get\nline: 0\nline: 99-120\nline: x\nThe jar is broken.",
            "pkg/jar.py\nline: 99999999999999999999999",
        ] {
            assert_eq!(check(answer), [] as [&str; 0], "{answer}");
        }
        let all = (1..=23).map(|n| format!("line: {n}\nline: {n}-23\n")).collect::<String>();
        assert_eq!(check(&format!("pkg/jar.py\n{all}")).len(), MOST);
    }
}
