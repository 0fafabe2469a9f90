//! The files shown to the model: as many of the ranked ones as fit a token budget, in order.
//!
//! Rendering follows Agentless Mini (`### path`, a newline, the text, a blank line between files),
//! because that is what SWE-RL models were trained on. A file that does not fit is passed over and
//! smaller ones after it are still tried; a first file that alone exceeds the budget is elided
//! around the lines that share identifiers with the issue instead of breaking the budget (E66).

use std::collections::HashSet;

/// A file that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFile {
    /// Path from the repository's root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What is shown, and what was left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// The rendered files.
    pub text: String,
    /// Paths shown, in order.
    pub shown: Vec<String>,
    /// Paths that did not fit.
    pub skipped: Vec<String>,
    /// Paths of which only a part is shown.
    pub elided: Vec<String>,
}

/// Lines kept on each side of a line that matters.
const WINDOW: usize = 12;
/// What stands for elided lines.
const ELISION: &str = "...";

/// Chooses and renders files: ranked best first in `files`, at most `max_files`, within `budget`
/// tokens as `count` counts them.
pub fn select(
    files: &[ContextFile],
    issue: &str,
    max_files: usize,
    budget: usize,
    count: &dyn Fn(&str) -> usize,
) -> Context {
    let mut context = Context::default();
    let mut left = budget;
    for file in files {
        if context.shown.len() == max_files {
            break;
        }
        let rendered = render(&file.path, &file.text);
        let tokens = count(&rendered);
        if tokens <= left {
            left -= tokens;
            push(&mut context, &file.path, &rendered);
        } else if context.shown.is_empty() && left > 0 {
            let rendered = render(&file.path, &elide(&file.text, issue, left, count));
            left = left.saturating_sub(count(&rendered));
            push(&mut context, &file.path, &rendered);
            context.elided.push(file.path.clone());
        } else {
            context.skipped.push(file.path.clone());
        }
    }
    context
}

fn push(context: &mut Context, path: &str, rendered: &str) {
    if !context.text.is_empty() {
        context.text.push_str("\n\n");
    }
    context.text.push_str(rendered);
    context.shown.push(path.to_owned());
}

fn render(path: &str, text: &str) -> String {
    format!("### {path}\n{}", text.strip_suffix('\n').unwrap_or(text))
}

/// The part of `text` that fits `budget`: windows around the lines that share most identifiers
/// with the issue, best first, in file order; an elision line stands for each gap.
fn elide(text: &str, issue: &str, budget: usize, count: &dyn Fn(&str) -> usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let wanted: HashSet<&str> = identifiers(issue).filter(|word| word.len() > 3).collect();
    let mut order: Vec<(usize, usize)> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| {
            let hits = identifiers(line).collect::<HashSet<_>>();
            (hits.intersection(&wanted).count(), number)
        })
        .collect();
    // Most hits first; earlier lines first among equals, so a file without hits shows its head.
    order.sort_by_key(|&(hits, number)| (std::cmp::Reverse(hits), number));

    let costs: Vec<usize> = lines.iter().map(|line| count(line) + 1).collect();
    let mut keep = vec![false; lines.len()];
    let mut spent = 0;
    for (_, centre) in order {
        let window = centre.saturating_sub(WINDOW)..(centre + WINDOW + 1).min(lines.len());
        let cost: usize = window.clone().filter(|&i| !keep[i]).map(|i| costs[i]).sum::<usize>() + 4;
        if spent + cost > budget {
            break;
        }
        if window.clone().any(|i| !keep[i]) {
            spent += cost;
            window.for_each(|i| keep[i] = true);
        }
    }

    let mut out = String::new();
    let mut gap = false;
    for (line, keep) in lines.iter().zip(keep) {
        if keep {
            out.push_str(line);
            out.push('\n');
            gap = false;
        } else if !gap {
            out.push_str(ELISION);
            out.push('\n');
            gap = true;
        }
    }
    out
}

fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| {
        word.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> ContextFile {
        ContextFile { path: path.into(), text: text.into() }
    }

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn a_file_that_does_not_fit_is_passed_over_and_smaller_ones_still_tried() {
        let big = "word ".repeat(100);
        let files = [file("a.py", "x = 1\n"), file("big.py", &big), file("c.py", "y = 2\n")];
        let context = select(&files, "", 5, 20, &words);
        assert_eq!(context.text, "### a.py\nx = 1\n\n### c.py\ny = 2");
        assert_eq!(context.skipped, ["big.py"]);
    }

    #[test]
    fn a_first_file_over_budget_is_elided_around_what_the_issue_names() {
        let mut lines: Vec<String> = (0..2000).map(|i| format!("value_{i} = {i}")).collect();
        lines[1500] = "def parse_duration(text):".into();
        let text = lines.join("\n");
        let context = select(&[file("a.py", &text)], "parse_duration is wrong", 5, 300, &words);
        assert!(words(&context.text) <= 300, "{}", words(&context.text));
        assert!(context.text.contains("def parse_duration(text):\nvalue_1501"), "{}", context.text);
        assert!(context.text.contains("\n...\n"));
        assert_eq!(context.elided, ["a.py"]);
    }

    #[test]
    fn without_a_budget_nothing_is_shown() {
        let context = select(&[file("a.py", "x = 1\n")], "x", 5, 0, &words);
        assert_eq!((context.text.as_str(), context.shown.len()), ("", 0));
    }

    #[test]
    fn at_most_max_files_are_shown() {
        let files: Vec<_> = (0..9).map(|i| file(&format!("{i}.py"), "x\n")).collect();
        assert_eq!(select(&files, "", 3, 1000, &words).shown, ["0.py", "1.py", "2.py"]);
    }
}
