//! The files shown to the model, within a token budget.
//!
//! Rendering follows Agentless Mini (`### path`, a newline, the text, a blank line between files),
//! because that is what SWE-RL models were trained on, and files that fit together are shown
//! whole. Where they do not fit and their places are known (`Localization`), lines are chosen by
//! the expected gain for their tokens (`gain`); what is left out between them is one line
//! `... N lines not shown ...`, which is no Python, and a note before the files says what it means.
//! Without places the rule is Mini's: a file that does not fit is passed over and smaller ones
//! after it are still tried; only a first file that alone exceeds the budget is elided (E66).

mod draw;
mod gain;
mod units;

use crate::artifact::Place;
use draw::{push, whole};

/// A file that may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextFile {
    /// Path from the repository's root.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Parts of it worth showing; empty when they are not known.
    pub places: Vec<Place>,
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
    /// For each path in `shown`, the lines shown: first and last of each run, from 1, inclusive.
    pub lines: Vec<Vec<[usize; 2]>>,
}

/// Chooses and renders files: ranked best first in `files`, at most `max_files`, within `budget`
/// tokens as `count` counts them. The budget is never exceeded, and equal input gives equal text.
pub fn select(
    files: &[ContextFile],
    issue: &str,
    max_files: usize,
    budget: usize,
    count: &dyn Fn(&str) -> usize,
) -> Context {
    if files.iter().all(|file| file.places.is_empty()) {
        return in_order(files, issue, max_files, budget, count);
    }
    // With elision each file fits somehow: there is no need of files to take another's place.
    let files = &files[..files.len().min(max_files)];
    let mut context = Context::default();
    for file in files {
        push(&mut context, &file.path, &whole(&file.path, &file.text), None);
    }
    if count(&context.text) <= budget {
        return context;
    }
    gain::choose(files, issue, budget, count)
}

/// Agentless Mini's order of work.
fn in_order(
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
        let rendered = whole(&file.path, &file.text);
        let tokens = count(&rendered);
        if tokens <= left {
            left -= tokens;
            push(&mut context, &file.path, &rendered, None);
        } else if context.shown.is_empty() && left > 0 {
            let first = gain::choose(std::slice::from_ref(file), issue, left, count);
            if first.shown.is_empty() {
                context.skipped.push(file.path.clone());
            } else {
                left = left.saturating_sub(count(&first.text));
                let skipped = std::mem::take(&mut context.skipped);
                context = Context { skipped, ..first };
            }
        } else {
            context.skipped.push(file.path.clone());
        }
    }
    context
}

#[cfg(test)]
mod tests;
