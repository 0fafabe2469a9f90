//! Input made to be slow or deep. The bound of ten seconds only tells a hang from work.

use std::time::{Duration, Instant};

use super::*;

const MEGABYTE: usize = 1 << 20;

#[track_caller]
fn within_bound<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", start.elapsed());
    result
}

fn repeat(piece: &str) -> String {
    piece.repeat(MEGABYTE / piece.len())
}

#[test]
fn answers_of_a_megabyte() {
    let big = repeat("x\n");
    let tree =
        Tree::new([("a.py", big.as_bytes()), ("b.py", repeat("return 1\npass\n").as_bytes())]);
    let shown = ["a.py", "b.py"].map(str::to_owned);
    let edit = |search: &str, replace: &str| {
        format!("### a.py\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n")
    };
    let half = "x\n".repeat(MEGABYTE / 4);
    let answers = [
        ("backticks", repeat("`")),
        ("fences", repeat("```\n")),
        ("markers", repeat("<<<<<<< SEARCH\n")),
        ("dividers", format!("<<<<<<< SEARCH\n{}>>>>>>> REPLACE\n", repeat("=======\n"))),
        ("edits", repeat("<<<<<<< SEARCH\nq\n=======\nr\n>>>>>>> REPLACE\n")),
        ("paths", format!("{}<<<<<<< SEARCH\nq\n=======\nr\n>>>>>>> REPLACE\n", repeat("a/"))),
        ("thoughts", repeat("<think>")),
        ("one line", edit(&repeat("y"), "z")),
        ("half the file", edit(&half, "z")),
        ("half the file, indented", edit(&half.replace('x', "  x"), "z")),
        ("half the file, then another", edit(&format!("{half}y"), &half)),
        ("alike", edit(&repeat("return 2\npass\n"), "z")),
        ("deletions", repeat("### DELETE a/b\n")),
        ("no path", repeat("<<<<<<< SEARCH\nx\nx\n=======\nr\n>>>>>>> REPLACE\n```\n")),
    ];
    for (what, answer) in answers {
        let shown = shown.clone();
        let result =
            within_bound(what, || apply_answer(&answer, &shown, &tree, &ApplyOptions::default()));
        assert!(result.is_err(), "{what}");
    }
    let all = ApplyOptions { replace_all: true, ..ApplyOptions::default() };
    let grown =
        within_bound("replace all", || apply_answer(&edit("x", &repeat("y\n")), &[], &tree, &all));
    assert_eq!(grown.unwrap_err().code, ReasonCode::TooLarge);
    let huge = " ".repeat(11 << 20);
    let refused = apply_answer(&huge, &[], &tree, &all);
    assert_eq!(refused.unwrap_err().code, ReasonCode::TooLarge);
}

#[test]
fn sources_that_nest_deeply() {
    for piece in [
        "(",
        "[",
        "-",
        "not ",
        "a.b",
        "f(",
        "x + ",
        "lambda: ",
        "lambda a, b: ",
        "f'{",
        "{a:",
        "a if b else ",
        "x**",
    ] {
        let source = repeat(piece);
        let state = FileState { content: source.clone().into_bytes(), mode: FileMode::Regular };
        let change = FileChange { path: "a.py".to_owned(), old: None, new: Some(state) };
        let rejected = within_bound(piece, || check_syntax(std::slice::from_ref(&change), None));
        assert_eq!(rejected.map_err(|error| error.code), Err(ReasonCode::Syntax), "{piece}");
        within_bound(piece, || classify(&[change]));
        within_bound(piece, || script_class(&source));
    }
    // As deep as is allowed, on the small stack of a test thread.
    let parens = format!("x = {}1{}\n", "(".repeat(900), ")".repeat(900));
    let sum = format!("x = {}1\n", "1 + ".repeat(1900));
    let chain = format!("x = a{}\n", ".b()".repeat(600));
    for source in [parens, sum, chain] {
        let state = FileState { content: source.into_bytes(), mode: FileMode::Regular };
        let change = FileChange { path: "a.py".to_owned(), old: None, new: Some(state) };
        assert_eq!(check_syntax(std::slice::from_ref(&change), None), Ok(()));
        assert_eq!(classify(&[change]).kind, ClassKind::Substantive);
    }
}

#[test]
fn long_flat_sources_are_no_deep_ones() {
    let list = format!("x = [{}]\n", "f(1, -2),\n".repeat(20_000));
    let lines = "x = a + b * (c - d)\n".repeat(20_000);
    for source in [list, lines] {
        let state = FileState { content: source.into_bytes(), mode: FileMode::Regular };
        let change = FileChange { path: "a.py".to_owned(), old: None, new: Some(state) };
        assert_eq!(within_bound("flat", || check_syntax(&[change], None)), Ok(()));
    }
}

#[test]
fn diffs_of_large_files() {
    let pairs = [
        (repeat("x\n"), repeat("y\n")),
        (repeat("x\ny\n"), repeat("y\nx\nx\n")),
        ("x\ny\n".repeat(30_000), "y\nx\nx\n".repeat(20_000)),
        (
            (0..60_000_u64).map(|n| format!("{}\n", n * 7919 % 60_000)).collect(),
            (0..60_000_u64).map(|n| format!("{}\n", n * 104_729 % 60_000)).collect(),
        ),
        (repeat("x\n"), format!("{}y\n{}", "x\n".repeat(MEGABYTE / 4), "x\n".repeat(MEGABYTE / 4))),
    ];
    for (what, (old, new)) in
        ["other lines", "repeated lines", "fewer repeated lines", "shuffled lines", "one change"]
            .into_iter()
            .zip(pairs)
    {
        let state = |text: &str| Some(FileState { content: text.into(), mode: FileMode::Regular });
        let change = FileChange { path: "f".to_owned(), old: state(&old), new: state(&new) };
        let text = within_bound(what, || diff(std::slice::from_ref(&change)));
        let base = Tree::new([("f", old.as_bytes())]);
        let back = within_bound(what, || apply_diff(&text, &base));
        assert_eq!(back.unwrap(), [change]);
    }
}

#[test]
fn hunks_that_fit_nowhere_in_a_repetitive_file() {
    let file = repeat("x\n");
    let tree = Tree::new([("f", file.as_bytes())]);
    let context = " x\n".repeat(5000);
    let diff =
        format!("--- a/f\n+++ b/f\n@@ -1000,10002 +1000,10002 @@\n{context}-y\n+z\n{context} x\n");
    let result = within_bound("hunk", || apply_diff(&diff, &tree));
    assert_eq!(result.unwrap_err().code, ReasonCode::NotFound);
}
