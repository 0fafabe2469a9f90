//! Localization answers: the gold files among others that the prompt shows, and gold places among
//! others of the outlines that it shows.

use super::draw::Draw;
use super::gold::Known;
use super::{Rates, Reply};

/// `hit` names the gold files, `miss` does not.
pub(crate) fn kind(rates: &Rates, draw: &mut Draw) -> &'static str {
    if draw.happens(rates.localize_hit) { "hit" } else { "miss" }
}

/// An answer of quality `kind` to `prompt`; with `rates.localize_messy` in a form that only a
/// tolerant reader understands.
pub(crate) fn answer(
    known: &Known,
    kind: &str,
    prompt: &str,
    rates: &Rates,
    draw: &mut Draw,
) -> Reply {
    let gold = known.files();
    let mut others = shown_paths(prompt);
    others.retain(|path| !gold.contains(path));
    draw.shuffle(&mut others);
    others.truncate(draw.below(4));
    let mut paths = if kind == "hit" { gold } else { Vec::new() };
    let first = draw.happens(0.7);
    let rest = if first { paths.len() } else { 0 };
    for other in others {
        let place = rest + draw.below(paths.len() - rest + 1);
        paths.insert(place, other);
    }
    if draw.happens(rates.localize_messy) {
        return Reply::text(messy(&paths, draw));
    }
    Reply::text(format!("```\n{}\n```\n", paths.join("\n")))
}

fn messy(paths: &[String], draw: &mut Draw) -> String {
    let lines: Vec<_> = match draw.below(4) {
        0 => paths.iter().map(|path| format!("- {path}")).collect(),
        1 => (1..).zip(paths).map(|(n, path)| format!("{n}. `{path}`")).collect(),
        2 => paths.iter().map(|path| format!("./{path}")).collect(),
        _ => {
            let unknown = "no/such/module.py".to_owned();
            std::iter::once(unknown).chain(paths.iter().cloned()).collect()
        }
    };
    format!(
        "These files matter most:\n\n```text\n{}\n```\n\nThe first is the likeliest.\n",
        lines.join("\n")
    )
}

/// Whether the prompt asks for places and not for files: it shows outlines.
pub(crate) fn asks_places(prompt: &str) -> bool {
    prompt.lines().any(|line| line.starts_with("### ") && line.ends_with(" lines)"))
}

/// A definition in an outline: its file, qualified name and lines.
struct Outlined {
    path: String,
    name: String,
    lines: (usize, usize),
}

/// An answer of quality `kind` to a prompt with outlines: the innermost definitions around the gold
/// edits (or their lines, where there is none), or others; each file in one of the usual forms.
pub(crate) fn places(known: &Known, kind: &str, prompt: &str, draw: &mut Draw) -> Reply {
    let outlined = outlines(prompt);
    let mut named: Vec<(String, String)> = Vec::new();
    if kind == "hit" {
        for edit in known.edits.iter().filter(|edit| edit.first > 0) {
            let line = edit.changes();
            let around = outlined
                .iter()
                .rev()
                .find(|one| one.path == edit.path && one.lines.0 <= line && line <= one.lines.1);
            let place = around.map_or(format!("line: {line}"), |one| form(&one.name, draw));
            named.push((edit.path.clone(), place));
        }
    } else if !outlined.is_empty() {
        let one = &outlined[draw.below(outlined.len())];
        named.push((one.path.clone(), form(&one.name, draw)));
    }
    let mut lines = Vec::new();
    for (path, place) in &named {
        let heading = if draw.happens(0.5) { format!("file: {path}") } else { path.clone() };
        lines.extend([heading, place.clone(), String::new()]);
    }
    Reply::text(format!("```\n{}\n```\n", lines.join("\n").trim_end()))
}

fn form(name: &str, draw: &mut Draw) -> String {
    match draw.below(3) {
        0 => format!("function: {name}"),
        1 => format!("- `{name}`"),
        _ => format!("method: {name}"),
    }
}

fn outlines(prompt: &str) -> Vec<Outlined> {
    let mut outlined = Vec::new();
    let mut path = String::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    for line in prompt.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            path = heading.split(" (").next().unwrap_or_default().to_owned();
            above.clear();
        }
        let Some((code, lines)) = line.rsplit_once("  # lines ") else { continue };
        let Some((first, last)) = lines.split_once('-') else { continue };
        let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else { continue };
        let indentation = code.len() - code.trim_start().len();
        let mut words = code.trim_start().split([' ', '(', ':']);
        let name = words.find(|word| !["async", "def", "class"].contains(word));
        above.retain(|(own, _)| *own < indentation);
        above.push((indentation, name.unwrap_or_default().to_owned()));
        let name = above.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(".");
        outlined.push(Outlined { path: path.clone(), name, lines: (first, last) });
    }
    outlined
}

/// The Python files in the prompt: whole paths, one a line, or a tree drawn by indentation.
pub(crate) fn shown_paths(prompt: &str) -> Vec<String> {
    let mut paths = Vec::new();
    // Folders above the line: indentation and name.
    let mut above: Vec<(usize, &str)> = Vec::new();
    for line in prompt.lines() {
        let name = line.trim();
        let indentation = line.len() - line.trim_start().len();
        let is_path = |c: char| c.is_alphanumeric() || "_-+./".contains(c);
        if name.is_empty() || !name.chars().all(is_path) {
            above.clear();
            continue;
        }
        above.retain(|(own, _)| *own < indentation);
        if name.ends_with(".py") {
            let folders = above.iter().map(|(_, name)| *name);
            paths.push(folders.chain([name]).collect::<Vec<_>>().join("/"));
        } else {
            above.push((indentation, name.trim_end_matches('/')));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::super::gold::{self, tests::PATCH};
    use super::*;

    #[test]
    fn paths_are_found_in_lists_and_in_trees() {
        let tree = "Some words.\n--- BEGIN ---\npkg/\n    deep/\n        a.py\n    b.py\nsetup.py\n--- END ---\n";
        assert_eq!(shown_paths(tree), ["pkg/deep/a.py", "pkg/b.py", "setup.py"]);
        let bare = "pkg\n  deep\n    a.py\n  b.py";
        assert_eq!(shown_paths(bare), ["pkg/deep/a.py", "pkg/b.py"]);
        assert_eq!(shown_paths("```\nx/y.py\nz.py\n```"), ["x/y.py", "z.py"]);
    }

    #[test]
    fn hits_name_the_gold_files_and_misses_do_not() {
        let known = Known { edits: gold::edits(PATCH), ..Known::default() };
        let prompt = "a.py\npkg/calc.py\npkg/other.py\nb.py\n";
        let rates = Rates { localize_messy: 0.5, ..Rates::default() };
        for n in 0..60 {
            let draw = || Draw::of(&[&n.to_string()]);
            let text = |kind| {
                answer(&known, kind, prompt, &rates, &mut draw()).content.unwrap_or_default()
            };
            assert!(text("hit").contains("pkg/calc.py") && text("hit").contains("pkg/new.py"));
            assert!(!text("miss").contains("pkg/calc.py"));
            assert!(text("hit").contains("```"));
        }
    }

    #[test]
    fn hits_name_the_definitions_around_the_gold_edits() {
        let known = Known { edits: gold::edits(PATCH), ..Known::default() };
        let prompt = "### pkg/calc.py (20 lines)\nclass Calc:  # lines 1-9\n    def half(value):  # lines 1-4\n        \
            \"\"\"Doc.\"\"\"\n\n### pkg/new.py (1 lines)\ndef other():  # lines 1-3\n";
        assert!(asks_places(prompt) && !asks_places("### a title\npkg/\n    calc.py\n"));
        for n in 0..30 {
            let mut draw = Draw::of(&[&n.to_string()]);
            let text = places(&known, "hit", prompt, &mut draw).content.unwrap_or_default();
            assert!(text.contains("Calc.half") && text.contains("line: 10"), "{text}");
            let miss = places(&known, "miss", prompt, &mut draw).content.unwrap_or_default();
            assert!(!miss.contains("line: 10") && miss.contains("pkg/"), "{miss}");
        }
    }
}
