//! A classifier that parses only what changed says what parsing everything says.

use super::*;
use proptest::prelude::*;

/// Real-looking, with what makes regions hard: decorators, nested classes, continuation lines,
/// strings over lines, one-line bodies, semicolons, clauses.
const FILE: &str = r#"#!/usr/bin/env python
# -*- coding: utf-8 -*-
"""Module doc."""
from __future__ import annotations
import os, sys
import re as regex
from . import sibling

LIMIT = 10; OTHER = 20
TEXT = """one
def not_code():
    class Nor: this
"""
TOTAL = LIMIT + \
    OTHER


@decorator(
    argument=1,
)
class First(Base):
    """Doc."""

    field = {
        "a": 1,  # comment \
        "b": [2, 3],
    }

    class Meta:
        order = ["x"]
        unique = True

        def deep(self):
            return self.order

    @property
    def value(self):
        # comment
        result = self.compute(1)
        if result:
            for item in result:
                if item: continue
                break
        elif None:
            pass
        else:
            result = None
        return result

    def compute(self, number):
        total = number * 2
        with open("f") as handle:
            total += len(handle.read())
        return total

    async def later(self): await self.compute(2)


class Second: x = 1; y = 2

class Third:
    pass

if LIMIT:
    def conditional(): return 1
else:
    conditional = None

def function(a, *, b=1):
    try:
        value = a + b
    except ValueError as error:
        raise TypeError(f"{a} {b!r}") from error
    finally:
        print(a)
    match a:
        case 1: return 2
        case _: return value
"#;

/// Lines that an edit brings.
const LINES: &[&str] = &[
    "",
    "\n",
    "x = 1\n",
    "    x = 1\n",
    "        x = 1\n",
    "            x = 1\n",
    "\tx = 1\n",
    "    \tx = 1\n",
    "      x = 1\n",
    "x = 1 \\\n",
    "\\\n",
    "    \\\n",
    "# comment\n",
    "    # comment \\\n",
    "\u{c}x = 1\n",
    "\u{c}\n",
    "x = 1",
    "pass\n",
    "    pass\n",
    "        pass; y = 2\n",
    "'''\n",
    "\"\"\"\n",
    "    \"\"\"Doc.\"\"\"\n",
    "(\n",
    ")\n",
    "    x = [\n",
    "    ]\n",
    "@decorator\n",
    "    @property\n",
    "else:\n",
    "    else: pass\n",
    "        else: pass\n",
    "except E: pass\n",
    "    finally: pass\n",
    "elif x: pass\n",
    "case = 1\n",
    "        case 3: pass\n",
    "match = 2\n",
    "return 1\n",
    "    return 1\n",
    "        return 1\n",
    "    break\n",
    "            continue\n",
    "class New:\n",
    "    class New(A): x = 1\n",
    "class Second: x = 1; y = 2\n",
    "def new(): pass\n",
    "    def new(self):\n        y = 1\n        return y\n",
    "        z = 1\n        return z\n",
    "print(__doc__)\n",
    "    docopt()\n",
    "x = '\\ud800'\n",
    "x = t'{a}'\n",
    "x = f'{a=}'\n",
    "from __future__ import division\n",
    "import sys, os\n",
    "import os\n",
    "import time\n",
    "#!/bin/sh\n",
    "# coding: latin-1\n",
    "\u{feff}x = 1\n",
    "x = 1\r\n",
    "x = 1\ry = 2\n",
    "    x = 1\r    y = 2\n",
    "x = 'é'\n",
    "x = $\n",
    "    x = (y := 3)\n",
    "with (open(a) as b, open(c) as d): pass\n",
    "if a: b = 1\n",
    "\0\n",
    "\x1a\n",
];

/// Compares with the whole files parsed, syntax errors included.
fn judge_both(classifier: &Classifier, change: &FileChange) {
    let changes = std::slice::from_ref(change);
    let part = classifier.judge(changes).map_err(|rejection| rejection.to_string());
    let whole = check_syntax(changes, None).map_err(|rejection| rejection.to_string());
    let whole = whole.map(|()| classifier.judge_whole(changes));
    assert_eq!(part, whole, "{change:?}");
}

fn change(old: &str, new: &str) -> FileChange {
    let state = |text: &str| Some(FileState { content: text.into(), mode: FileMode::Regular });
    FileChange { path: "a.py".to_owned(), old: state(old), new: state(new) }
}

/// Replaces `count` lines from `at` on.
fn edited(file: &str, at: usize, count: usize, new: &str) -> String {
    let lines: Vec<&str> = file.split_inclusive('\n').collect();
    let at = at.min(lines.len());
    let end = (at + count).min(lines.len());
    [&lines[..at].concat(), new, &lines[end..].concat()].concat()
}

#[test]
fn every_line_at_every_place() {
    let paths = ["a.py".to_owned()];
    let classifier = Classifier::new(&paths, None);
    for at in 0..=FILE.lines().count() {
        for new in LINES {
            for count in [0, 1] {
                let new = edited(FILE, at, count, new);
                judge_both(&classifier, &change(FILE, &new));
            }
        }
    }
}

#[test]
fn a_base_without_statements() {
    let classifier = Classifier::new(&["a.py".to_owned()], None);
    for base in ["", "\n", "# only a comment\n", "\"\"\"Doc.\"\"\"\n", "\u{feff}", "pass"] {
        for line in LINES {
            judge_both(&classifier, &change(base, line));
            judge_both(&classifier, &change(base, &format!("{base}{line}")));
            judge_both(&classifier, &change(line, base));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_edits(
        edits in prop::collection::vec(
            (0usize..90, 0usize..6, prop::collection::vec(prop::sample::select(LINES), 0..3)),
            1..4,
        ),
        moved in (0usize..90, 0usize..20, 0usize..90),
        with_move in any::<bool>(),
        docs in any::<bool>(),
    ) {
        let file = if docs { format!("{FILE}\nprint(__doc__)\n") } else { FILE.to_owned() };
        let mut new = file.clone();
        for (at, count, lines) in &edits {
            new = edited(&new, *at, *count, &lines.concat());
        }
        if with_move {
            let lines: Vec<&str> = new.split_inclusive('\n').collect();
            let from = moved.0.min(lines.len());
            let text = lines[from..(from + moved.1).min(lines.len())].concat();
            new = edited(&edited(&new, from, moved.1, ""), moved.2, 0, &text);
        }
        let paths = ["a.py".to_owned()];
        let classifier = Classifier::new(&paths, None);
        judge_both(&classifier, &change(&file, &new));
        judge_both(&classifier, &change(&new, &file));
    }
}

#[test]
fn an_edit_in_one_method_is_not_a_reason_to_parse_the_file() {
    let paths = ["a.py".to_owned()];
    let classifier = Classifier::new(&paths, None);
    let edits = [
        ("total = number * 2", "total = number * 3"),
        ("    class Meta:\n", "    added = 1\n    class Meta:\n"),
        ("            return self.order\n", "            return self.order\n\n    more = 2\n"),
        ("class Third:\n    pass\n", "class Third:\n    pass\n\n    def f(self): return 1\n"),
        ("class Third:\n    pass\n\n", ""),
        ("LIMIT = 10; OTHER = 20", "LIMIT = 11; OTHER = 20"),
        ("        return total\n\n    async", "        return total\n\n    y = 1\n    async"),
    ];
    let mut all = FILE.to_owned();
    for (from, to) in edits {
        let new = FILE.replacen(from, to, 1);
        assert_ne!(new, FILE, "{from}");
        assert!(classifier.splices(&change(FILE, &new)), "{from}");
        if !to.is_empty() {
            all = all.replacen(from, to, 1);
        }
    }
    assert!(classifier.splices(&change(FILE, &all)));
    // What the rest of the file decides.
    for (from, to) in [("LIMIT = 10", "LIMIT = ("), ("LIMIT = 10", "LIMIT = __doc__")] {
        assert!(!classifier.splices(&change(FILE, &FILE.replacen(from, to, 1))), "{from}");
    }
}
