//! Repair answers of chosen quality, made from the gold patch's hunks.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::draw::Draw;
use super::gold::{Edit, Known, Mark};
use super::{Rates, Reply};

/// One SEARCH/REPLACE edit before it is written down.
#[derive(Debug, Clone, PartialEq)]
struct Block {
    path: String,
    deletes: bool,
    search: Vec<String>,
    replace: Vec<String>,
}

/// The quality of a sample, by its rates; what they leave over is wrong.
pub(crate) fn kind(rates: &Rates, draw: &mut Draw) -> &'static str {
    let mut left = draw.unit();
    for (name, rate) in
        [("right", rates.right), ("mutated", rates.mutated), ("malformed", rates.malformed)]
    {
        if left < rate {
            return name;
        }
        left -= rate;
    }
    "wrong"
}

/// An answer of quality `kind`.
pub(crate) fn answer(known: &Known, kind: &str, draw: &mut Draw) -> Reply {
    if known.edits.is_empty() {
        return Reply::text("I could not find what to change.");
    }
    let blocks: Vec<_> = known.edits.iter().map(block).collect();
    match kind {
        "right" => Reply::text(write(&blocks, "```python", "```")),
        "mutated" => Reply::text(mutated(known, blocks, draw)),
        "malformed" => malformed(&blocks, draw),
        _ => Reply::text(write(&wrong(known, draw), "```python", "```")),
    }
}

/// A draft as it may stand in the thinking: complete, and not right.
pub(crate) fn draft(known: &Known, draw: &mut Draw) -> String {
    if known.edits.is_empty() {
        String::new()
    } else {
        write(&wrong(known, draw), "```python", "```")
    }
}

fn block(edit: &Edit) -> Block {
    Block {
        path: edit.path.clone(),
        deletes: edit.deletes,
        search: edit.before(),
        replace: edit.after(),
    }
}

fn write(blocks: &[Block], open: &str, close: &str) -> String {
    let ticks = |line: &String| line.contains("```");
    let fenced = |block: &Block| {
        if block.deletes {
            return format!("### DELETE {}\n\n", block.path);
        }
        // A fence inside the code must not end the block.
        let longer = if block.search.iter().chain(&block.replace).any(ticks) { "``" } else { "" };
        format!("{longer}{open}\n{}\n{close}{longer}\n\n", body(block))
    };
    blocks.iter().map(fenced).collect()
}

fn body(block: &Block) -> String {
    let mut lines = vec![format!("### {}", block.path), "<<<<<<< SEARCH".to_owned()];
    lines.extend(block.search.iter().cloned());
    lines.push("=======".to_owned());
    lines.extend(block.replace.iter().cloned());
    lines.push(">>>>>>> REPLACE".to_owned());
    lines.join("\n")
}

/// The right change in another dress.
fn mutated(known: &Known, mut blocks: Vec<Block>, draw: &mut Draw) -> String {
    match draw.below(7) {
        0 => return write(&blocks, "```", "```"),
        1 => return write(&blocks, "~~~~py", "~~~~"),
        2 => {
            for line in blocks.iter_mut().flat_map(|block| &mut block.search) {
                line.push_str("  ");
            }
        }
        3 => commented(known, &mut blocks),
        4 => blocks.iter_mut().for_each(dedent),
        5 => blocks.reverse(),
        _ => {
            let (gone, edited): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| b.deletes);
            let gone = write(&gone, "", "");
            let together = edited.iter().map(body).collect::<Vec<_>>().join("\n\n");
            return format!(
                "The cause is clear. All edits together:\n\n````python\n{together}\n````\n\n{gone}"
            );
        }
    }
    format!("This resolves the issue.\n\n{}", write(&blocks, "```python", "```"))
}

/// Puts a comment before the first added line where a statement certainly begins.
fn commented(known: &Known, blocks: &mut [Block]) {
    static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(\s*)(return\b|raise \w|(if|for|def|while|with) .*:$)").expect("a constant")
    });
    for (edit, block) in known.edits.iter().zip(blocks) {
        let mut place = 0;
        for (mark, line) in &edit.lines {
            let continued = place > 0 && block.replace[place - 1].ends_with('\\');
            if *mark == Mark::Added
                && !continued
                && let Some(found) = STATEMENT.captures(line)
            {
                block.replace.insert(place, format!("{}# see the issue", &found[1]));
                return;
            }
            place += usize::from(*mark != Mark::Removed);
        }
    }
}

/// Takes the indentation away that all lines of both parts share.
fn dedent(block: &mut Block) {
    if block.search.is_empty() {
        return;
    }
    let indentation = |line: &String| line.len() - line.trim_start_matches(' ').len();
    let both = || block.search.iter().chain(&block.replace).filter(|line| !line.trim().is_empty());
    let shared = both().map(indentation).min().unwrap_or(0);
    for line in block.search.iter_mut().chain(&mut block.replace) {
        line.drain(..shared.min(indentation(line)));
    }
}

/// An answer that no parser can make an edit of, or whose edit fits nowhere.
fn malformed(blocks: &[Block], draw: &mut Draw) -> Reply {
    const PROSE: &str =
        "The reason is that the value is used before it is checked. One should check it first.";
    let Some(edited) = blocks.iter().position(|block| !block.deletes) else {
        return Reply::text(PROSE);
    };
    let full = write(blocks, "```python", "```");
    match draw.below(5) {
        0 => Reply::text(full.replace(">>>>>>> REPLACE\n", "")),
        1 => {
            let marker = full.find("=======").unwrap_or(full.len() / 2);
            Reply { cut: true, ..Reply::text(&full[..marker]) }
        }
        2 => Reply::text(PROSE),
        3 => Reply { content: None, ..Reply::text("") },
        _ => {
            let mut elsewhere = blocks.to_vec();
            elsewhere[edited].search.insert(0, "def no_such_line_in_this_file(self):".to_owned());
            Reply::text(write(&elsewhere, "```python", "```"))
        }
    }
}

/// A different change at the same place, mostly one that still is good Python.
fn wrong(known: &Known, draw: &mut Draw) -> Vec<Block> {
    let right: Vec<_> = known.edits.iter().map(block).collect();
    let (mut subtle, mut crude) = (Vec::new(), Vec::new());
    for (place, edit) in known.edits.iter().enumerate() {
        let with = |replace: Vec<String>| {
            let mut blocks = right.clone();
            blocks[place].replace = replace;
            // A new file is right in all details, or it is not written at all.
            let new = &blocks[place].replace;
            let differs = *new != right[place].replace && *new != right[place].search;
            let edits = !right[place].search.is_empty() && !right[place].deletes;
            (differs && edits).then_some(blocks)
        };
        let added = places(edit, Mark::Added);
        let changed = added.iter().flat_map(|&line| changes(edit, line));
        subtle.extend(changed.filter_map(with));
        let missing = added.iter().filter(|_| added.len() > 1).map(|&line| without(edit, line));
        let stays = places(edit, Mark::Removed).into_iter().map(|line| kept(edit, line));
        crude.extend(missing.chain(stays).filter_map(with));
        // Without a hunk of code, that is: one that adds a docstring makes no difference.
        let code = !added.is_empty() || !places(edit, Mark::Removed).is_empty();
        if right.len() > 1 && code {
            let mut blocks = right.clone();
            blocks.remove(place);
            crude.push(blocks);
        }
        // Another shown line is changed in place of the right one.
        let mut old = edit.clone();
        old.lines.retain(|(mark, _)| *mark != Mark::Added);
        let elsewhere = places(&old, Mark::Context);
        let elsewhere = elsewhere.into_iter().flat_map(|line| {
            let mut old = old.clone();
            old.lines.iter_mut().for_each(|(mark, _)| *mark = Mark::Context);
            changes(&old, line)
        });
        subtle.extend(elsewhere.map(|replace| vec![Block { replace, ..right[place].clone() }]));
    }
    let subtly = crude.is_empty() || draw.happens(0.75);
    let ways = if subtly && !subtle.is_empty() { subtle } else { crude };
    draw.pick(&ways).cloned().unwrap_or_else(|| vec![nothing_but_pass(&right[0])])
}

/// The text after the hunk with line `place` changed, in each way that fits the line.
fn changes(edit: &Edit, place: usize) -> Vec<Vec<String>> {
    let texts = CHANGES.iter().filter_map(|change| change.apply(&edit.lines[place].1));
    let replaced = texts.map(|text| {
        let mut changed = edit.clone();
        changed.lines[place].1 = text;
        changed.after()
    });
    replaced.collect()
}

/// The last resort: a statement that does nothing takes the place of the first line.
fn nothing_but_pass(right: &Block) -> Block {
    let mut replace = right.search.clone();
    match replace.iter_mut().find(|line| !line.trim().is_empty()) {
        Some(line) => {
            let blanks = line.len() - line.trim_start().len();
            line.replace_range(blanks.., "pass");
        }
        None => replace = vec!["pass".to_owned()],
    }
    Block { replace, deletes: false, ..right.clone() }
}

/// A small change of one line that changes what it does.
struct Change {
    pattern: Regex,
    replace: fn(&Captures<'_>) -> String,
}

impl Change {
    fn apply(&self, line: &str) -> Option<String> {
        let code = line.trim_start();
        if code.starts_with('#') || !self.pattern.is_match(line) {
            return None;
        }
        Some(self.pattern.replace(line, self.replace).into_owned())
    }
}

static CHANGES: LazyLock<Vec<Change>> = LazyLock::new(|| {
    let change = |pattern: &str, replace: fn(&Captures<'_>) -> String| Change {
        pattern: Regex::new(pattern).expect("a constant"),
        replace,
    };
    vec![
        change(r"\bif (.+):$", |found| format!("if not ({}):", &found[1])),
        change(r"\bTrue\b", |_| "False".to_owned()),
        change(r"\bFalse\b", |_| "True".to_owned()),
        change(r" is None\b", |_| " is not None".to_owned()),
        change(r" is not None\b", |_| " is None".to_owned()),
        change(r" == ", |_| " != ".to_owned()),
        change(r" and ", |_| " or ".to_owned()),
        change(r"\b\d{1,6}\b", |found| {
            found[0].parse::<u64>().map_or_else(|_| found[0].to_owned(), |n| (n + 1).to_string())
        }),
    ]
});

/// Places of the lines with `mark` that hold code.
fn places(edit: &Edit, mark: Mark) -> Vec<usize> {
    let code = |text: &str| {
        let text = text.trim_start_matches([' ', '\t', 'r']);
        !text.is_empty() && !["#", "\"\"\"", "'''"].iter().any(|mark| text.starts_with(mark))
    };
    let lines = edit.lines.iter().enumerate();
    lines.filter(|(_, (own, text))| *own == mark && code(text)).map(|(place, _)| place).collect()
}

fn without(edit: &Edit, place: usize) -> Vec<String> {
    let mut changed = edit.clone();
    changed.lines.remove(place);
    changed.after()
}

fn kept(edit: &Edit, place: usize) -> Vec<String> {
    let mut changed = edit.clone();
    changed.lines[place].0 = Mark::Context;
    changed.after()
}

#[cfg(test)]
mod tests {
    use super::super::gold::{self, tests::PATCH};
    use super::*;

    const BASE: &str = "\
def half(value):
    return value / 2

def twice(value):
    return value * 2

X = 3

def last():
    # gone
    return 1
";

    fn known() -> Known {
        Known { edits: gold::edits(PATCH), ..Known::default() }
    }

    /// The strictest reader: one edit a fence, markers at the line's beginning, exact search.
    fn apply(answer: &str) -> Option<Vec<(String, String)>> {
        let form =
            r"(?ms)^`{3,}python\n### (\S+)\n<{7} SEARCH\n(.*?)^={7}\n(.*?)^>{7} REPLACE\n`{3,}$";
        let form = Regex::new(form).expect("a constant");
        let mut files = vec![("pkg/calc.py".to_owned(), BASE.to_owned())];
        for edit in form.captures_iter(answer) {
            let (path, search, replace) = (&edit[1], &edit[2], &edit[3]);
            match files.iter_mut().find(|(own, _)| own == path) {
                None if search.is_empty() => files.push((path.to_owned(), replace.to_owned())),
                Some((_, text)) if text.matches(search).count() == 1 => {
                    *text = text.replacen(search, replace, 1);
                }
                _ => return None,
            }
        }
        (files != [("pkg/calc.py".to_owned(), BASE.to_owned())]).then_some(files)
    }

    fn gold() -> Vec<(String, String)> {
        let calc = BASE
            .replace(
                "    return value / 2\n",
                "    if value is None:\n        return 0\n    return value // 2\n",
            )
            .replace("    # gone\n", "");
        let new = "--- this is text, not a header\nX = 1\n";
        vec![("pkg/calc.py".to_owned(), calc), ("pkg/new.py".to_owned(), new.to_owned())]
    }

    #[test]
    fn right_answers_give_the_gold_files() {
        let reply = answer(&known(), "right", &mut Draw::of(&["x"]));
        assert_eq!(apply(&reply.content.expect("an answer")), Some(gold()));
    }

    #[test]
    fn wrong_answers_apply_vary_and_are_never_right() {
        let mut seen = std::collections::HashSet::new();
        for n in 0..200 {
            let reply = answer(&known(), "wrong", &mut Draw::of(&[&n.to_string()]));
            let text = reply.content.expect("an answer");
            let files = apply(&text).unwrap_or_else(|| panic!("it does not apply:\n{text}"));
            assert_ne!(files, gold());
            seen.insert(files);
        }
        assert!(seen.len() >= 8, "only {} different wrong answers", seen.len());
    }

    #[test]
    fn malformed_answers_never_apply() {
        for n in 0..50 {
            let reply = answer(&known(), "malformed", &mut Draw::of(&[&n.to_string()]));
            let applied = reply.content.as_deref().and_then(apply);
            assert_eq!(applied, None, "{reply:?}");
        }
    }

    #[test]
    fn mutated_answers_keep_every_changed_line() {
        for n in 0..50 {
            let reply = answer(&known(), "mutated", &mut Draw::of(&[&n.to_string()]));
            let text = reply.content.expect("an answer");
            for line in ["if value is None:", "return value // 2", "X = 1", "### pkg/new.py"] {
                assert!(text.contains(line), "{line} is not in\n{text}");
            }
        }
    }

    #[test]
    fn a_dedented_block_keeps_its_shape() {
        let lines = |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect();
        let mut block = Block {
            path: "a.py".into(),
            deletes: false,
            search: lines(&["    if a:", "", "        b"]),
            replace: lines(&["    if b:", "        a"]),
        };
        dedent(&mut block);
        assert_eq!(
            (block.search.join("|"), block.replace.join("|")),
            ("if a:||    b".into(), "if b:|    a".into())
        );
    }
}
