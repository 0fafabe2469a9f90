//! Each list on a small repository made for it, and the promises of the whole.

use super::*;
use crate::retrieval::testing::{commit, corpus, file, history};
use crate::retrieval::{PastCommit, SourceFile};

fn run(files: &[SourceFile], issue: &str, history: &[PastCommit]) -> Vec<RankedFile> {
    run_limited(files, issue, history, 100)
}

fn run_limited(
    files: &[SourceFile],
    issue: &str,
    history: &[PastCommit],
    limit: usize,
) -> Vec<RankedFile> {
    let options = RankOptions::default();
    rank(&corpus(files), issue, &self::history(history), &options, limit)
}

fn order(ranked: &[RankedFile]) -> Vec<&str> {
    ranked.iter().map(|file| file.path.as_str()).collect()
}

/// The reasons of one file.
fn reasons<'a>(ranked: &'a [RankedFile], path: &str) -> &'a [String] {
    &ranked.iter().find(|file| file.path == path).unwrap().reasons
}

fn has(ranked: &[RankedFile], path: &str, reason: &str) {
    let reasons = reasons(ranked, path);
    assert!(reasons.iter().any(|given| given == reason), "{path}: {reason} not in {reasons:?}");
}

fn lacks(ranked: &[RankedFile], path: &str, reason: &str) {
    let reasons = reasons(ranked, path);
    assert!(!reasons.iter().any(|given| given.starts_with(reason)), "{path}: {reasons:?}");
}

#[test]
fn frames_links_and_paths_lead_to_their_files() {
    let files = [
        file("src/app/core.py", ""),
        file("src/app/io/core.py", ""),
        file("src/app/net.py", ""),
        file("src/app/models.py", ""),
        file("lib/other/models.py", ""),
    ];
    let issue = "It fails\r\n\r\n\
        https://github.com/o/app/blob/main/src/app/net.py#L3\r\n\
        maybe `app/io/core.py` or models.py\r\n\
        Traceback (most recent call last):\r\n\
        \x20 File \"/home/u/app/models.py\", line 1, in f\r\n\
        \x20 File \"/env/site-packages/app/core.py\", line 2, in g\r\n\
        \x20 File \"/env/site-packages/numpy/core.pyx\", line 3, in h\r\n";
    let ranked = run(&files, issue, &[]);
    has(&ranked, "src/app/net.py", "linked in the issue (line 3)");
    has(&ranked, "src/app/io/core.py", "named in the issue (line 4)");
    // Not the innermost frame, which is numpy's; the outer one counts less.
    has(&ranked, "src/app/core.py", "named in a traceback (line 7)");
    has(&ranked, "src/app/models.py", "named in a traceback (line 6)");
    // A bare name that two files have is half a vote for each.
    has(&ranked, "src/app/models.py", "named in the issue (line 4)");
    has(&ranked, "lib/other/models.py", "named in the issue (line 4)");
    let place = |path| order(&ranked).iter().position(|known| *known == path).unwrap();
    assert!(place("src/app/io/core.py") < place("lib/other/models.py"));
}

#[test]
fn words_names_and_paths_are_matched_in_their_own_lists() {
    let files = [
        file("p/alpha.py", "def frobnicate_widget(a):\n    return a\n"),
        file("p/beta.py", "from p.alpha import frobnicate_widget\nx = frobnicate_widget(1)\n"),
        file("p/gamma.py", "'''Renders the sidebar.'''\n"),
        file("p/sidebar.py", "pass\n"),
        file("q/delta.py", ""),
    ];
    let ranked = run(&files, "frobnicate_widget is wrong", &[]);
    assert_eq!(order(&ranked)[0], "p/alpha.py");
    has(&ranked, "p/alpha.py", "defines frobnicate_widget");
    lacks(&ranked, "p/beta.py", "defines");
    let ranked = run(&files, "The sidebar is empty", &[]);
    has(&ranked, "p/sidebar.py", "path terms rank 1");
    has(&ranked, "p/gamma.py", "bm25 rank 2");
    lacks(&ranked, "p/gamma.py", "path terms");
    assert_eq!(reasons(&ranked, "q/delta.py"), ["no signal"]);
}

#[test]
fn one_function_of_a_large_file_is_found() {
    let filler = (0..300).map(|n| format!("def other_{n}(value):\n    return value.thing_{n}\n"));
    let large = format!(
        "{}def parse_header(stream):\n    return stream.decode_utf8(stream.boundary_mark)\n",
        filler.collect::<String>()
    );
    let files = [
        file("p/large.py", &large),
        file("p/small.py", "def a(stream):\n    return stream.boundary_mark\n"),
        file("p/third.py", "def b():\n    return decode_utf8\n"),
    ];
    let ranked = run(&files, "Wrong result\n`decode_utf8` with `boundary_mark`", &[]);
    has(&ranked, "p/large.py", "chunks rank 1");
}

#[test]
fn past_commits_vote_for_what_they_changed_also_under_old_names() {
    let files =
        [file("p/x.py", ""), file("p/y.py", ""), file("p/moved.py", ""), file("p/z.py", "")];
    let wide = (0..40).map(|n| format!("p/f{n}.py")).chain(["p/z.py".into()]).collect::<Vec<_>>();
    let wide = wide.iter().map(String::as_str).collect::<Vec<_>>();
    let history = [
        commit(1000, "Fix crash of umlauts in headings", &["p/x.py", "CHANGES"]),
        commit(999, "Move y", &["p/old.py>p/moved.py"]),
        commit(-500, "Umlauts in headings again\n\nSigned-off-by: headings", &["p/old.py"]),
        commit(-600, "Reformat umlauts headings", &wide),
        commit(-700, "Unrelated words", &["p/y.py"]),
    ];
    let ranked = run(&files, "Umlauts vanish from headings", &history);
    has(&ranked, "p/x.py", "commit votes rank 1");
    has(&ranked, "p/moved.py", "commit votes rank 2");
    has(&ranked, "p/moved.py", "commit messages rank 1");
    lacks(&ranked, "p/y.py", "commit");
    lacks(&ranked, "p/z.py", "commit");
}

#[test]
fn sources_changed_with_a_fitting_test_are_found() {
    let files = [
        file("p/engine.py", ""),
        file("p/paint.py", ""),
        file("tests/test_volcano.py", "def test_volcano_erupts(): pass\n"),
    ];
    let history = [
        commit(10, "a", &["p/engine.py", "tests/test_volcano.py"]),
        commit(9, "b", &["p/paint.py"]),
    ];
    let ranked = run(&files, "volcano does not erupt", &history);
    has(&ranked, "p/engine.py", "tests changed together rank 1");
    lacks(&ranked, "p/paint.py", "tests changed together");
    assert_eq!(order(&ranked), ["p/engine.py", "p/paint.py", "tests/test_volcano.py"]);
}

#[test]
fn imports_spread_and_reexports_lead_to_the_definition() {
    let files = [
        file("src/p/__init__.py", "from .impl import Engine\nfrom p.names import *\n"),
        file("src/p/impl.py", "class Engine:\n    pass\n"),
        file("src/p/names.py", "class Label:\n    pass\n"),
        file("src/q/start.py", "from p import Engine, Label\n\ndef ignition(): pass\n"),
        file("src/q/far.py", "import os\n"),
    ];
    let ranked = run(&files, "ignition fails", &[]);
    has(&ranked, "src/q/start.py", "import graph rank 1");
    has(&ranked, "src/p/impl.py", "import graph rank 2");
    has(&ranked, "src/p/names.py", "import graph rank 2");
    lacks(&ranked, "src/q/far.py", "import graph");
}

#[test]
fn tests_and_documents_come_last_unless_named_and_shipped_ones_are_sources() {
    let files = [
        file("django/core.py", "from django.test.client import Client\n"),
        file("django/test/client.py", "class Client:\n    '''sends requests'''\n"),
        file("django/test/unused.py", "class Idle: pass\n"),
        file("tests/client/tests.py", "Client requests Client requests\n"),
        file("tests/named.py", "x = 1\n"),
        file("testing/client.py", "Client requests\n"),
        file("docs/client.py", "Client requests\n"),
    ];
    let ranked = run(&files, "Client loses requests\n\nsee tests/named.py", &[]);
    assert_eq!(order(&ranked)[0], "django/test/client.py");
    has(&ranked, "tests/named.py", "named in the issue (line 3)");
    let place = |path| order(&ranked).iter().position(|known| *known == path).unwrap();
    for last in ["tests/client/tests.py", "testing/client.py", "docs/client.py"] {
        assert!(place(last) > place("django/core.py") && place(last) > place("tests/named.py"));
    }
    let reason = "a test, ranked after sources";
    assert_eq!(reasons(&ranked, "tests/client/tests.py"), [reason]);
    assert_eq!(ranked.len(), files.len());
}

#[test]
fn the_ranking_depends_on_the_content_of_its_input_alone() {
    let mut files = (0..60)
        .map(|n| {
            let text = format!("class Shape{}:\n    def area_{n}(self): pass\n", n % 5);
            file(&format!("p{}/m{n}.py", n % 3), &text)
        })
        .collect::<Vec<_>>();
    let history = (0..40).map(|n| {
        let path = format!("p{}/m{n}.py", n % 3);
        commit(i64::from(100 - n), "shape area", &[path.as_str()])
    });
    let history = history.collect::<Vec<_>>();
    let issue = "Shape3 has a wrong area\n`area_7` of p1/m7.py";
    let first = run(&files, issue, &history);
    for _ in 0..3 {
        files.reverse();
        assert_eq!(run(&files, issue, &history), first);
        files.rotate_left(17);
    }
    let few = run_limited(&files, issue, &history, 3);
    assert_eq!(few, first[..3]);
}

#[test]
fn odd_input_is_ranked_too() {
    assert_eq!(run(&[], "anything", &[]), []);
    let files = [
        file("a.py", "def bad(:\n"),
        file("b.rs", "fn broken_thing() {}\n"),
        file("c.py", ""),
        file("d.py", "\u{fffd}\u{0}"),
    ];
    assert_eq!(run(&files, "", &[]).len(), 4);
    assert_eq!(run(&files, "\r\n<!-- x -->\r\n", &[commit(1, "", &[])]).len(), 4);
    let ranked = run(&files, "broken_thing panics", &[]);
    assert_eq!(order(&ranked)[0], "b.rs");
}

#[test]
fn a_megabyte_of_issue_is_read() {
    let files = [file("p/a.py", "def target_function(): pass\n"), file("p/b.py", "")];
    let noise =
        "lorem `ipsum_dolor(1)` File \"/x/y.py\", line 3, in z; a/b.py 1.2.3\n".repeat(15_000);
    let ranked = run(&files, &format!("target_function\n{noise}"), &[]);
    assert_eq!(order(&ranked)[0], "p/a.py");
}
