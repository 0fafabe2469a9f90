//! Localization answers: the gold files among others that the prompt shows.

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
}
