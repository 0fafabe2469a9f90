//! Each list on a repository of a few files that it should tell apart.

use crate::retrieval::features::Votes;
use crate::retrieval::lists::LISTS;
use crate::retrieval::rank::with_evidence;
use crate::retrieval::testing::{self, commit, corpus};
use crate::retrieval::{PastCommit, SourceFile};

fn files(files: &[(&str, &str)]) -> Vec<SourceFile> {
    files.iter().map(|(path, text)| testing::file(path, text)).collect()
}

/// Paths of one list, best first, with what the first one's reason says.
fn listed(
    files: &[SourceFile],
    issue: &str,
    history: &[PastCommit],
    list: &str,
) -> (Vec<String>, String) {
    let at = LISTS.iter().position(|known| known.name == list).unwrap();
    with_evidence(&corpus(files), issue, &testing::history(history), |evidence| {
        let placed = Votes::of(evidence, &[]).lists.swap_remove(at);
        let path = |file: usize| evidence.corpus.files[file].path.clone();
        let note = placed.first().and_then(|first| first.note.clone()).unwrap_or_default();
        (placed.iter().map(|placed| path(placed.file)).collect(), note)
    })
}

fn first(files: &[SourceFile], issue: &str, list: &str) -> Option<String> {
    listed(files, issue, &[], list).0.into_iter().next()
}

#[test]
fn a_member_is_found_where_the_class_inherits_it_from() {
    let files = files(&[
        (
            "pkg/shapes.py",
            "from pkg.base import Drawable\n\nclass Circle(Drawable):\n    radius = 1\n",
        ),
        ("pkg/base.py", "class Drawable:\n    def outline(self):\n        pass\n"),
        ("pkg/other.py", "class Text:\n    def outline(self):\n        pass\n"),
    ]);
    let issue = "Wrong border\n\n`Circle(3).outline()` or Circle.outline is off";
    let (paths, note) = listed(&files, issue, &[], "members");
    assert_eq!(paths, ["pkg/base.py"]);
    assert_eq!(note, "defines Circle.outline");
    let (paths, note) = listed(&files, issue, &[], "bases");
    assert_eq!(paths, ["pkg/base.py"]);
    assert_eq!(note, "defines Drawable, a base of Circle");
}

#[test]
fn imports_and_dotted_names_lead_to_the_defining_file() {
    let files = files(&[
        ("src/pkg/__init__.py", "from .solve import Solver\nfrom .plot import *\n"),
        ("src/pkg/solve.py", "class Solver:\n    pass\n"),
        ("src/pkg/plot.py", "def draw(x):\n    pass\n\ndef unused():\n    pass\n"),
        ("src/pkg/deep/tools.py", "def unrelated():\n    pass\n"),
    ]);
    let issue = "Fails\n```python\nfrom pkg import (Solver,\n    draw as d)\n```\n";
    let (mut paths, _) = listed(&files, issue, &[], "imported");
    paths.sort();
    assert_eq!(paths, ["src/pkg/plot.py", "src/pkg/solve.py"]);
    let star = "Fails\n\n>>> from pkg import *\n>>> draw(1)\n";
    assert_eq!(listed(&files, star, &[], "imported").0, ["src/pkg/plot.py"]);
    let aliased = "Fails\n```\nimport pkg as p\np.Solver()\n```\nand pkg.deep.tools too";
    let (paths, note) = listed(&files, aliased, &[], "modules");
    assert_eq!(paths, ["src/pkg/solve.py", "src/pkg/deep/tools.py"]);
    assert_eq!(note, "named as pkg.Solver");
}

#[test]
fn files_are_recognised_by_name_whatever_the_spelling() {
    let files = files(&[
        ("p/backends/filebased.py", ""),
        ("p/subfigure.py", ""),
        ("p/validators.py", ""),
        ("p/tools.py", ""),
    ]);
    for (issue, path) in [
        ("FileBasedCache races", "p/backends/filebased.py"),
        ("Overlap of sub-figures", "p/subfigure.py"),
        ("The validator is lax", "p/validators.py"),
    ] {
        assert_eq!(first(&files, issue, "stems").as_deref(), Some(path), "{issue}");
    }
    assert_eq!(first(&files, "Nothing here", "stems"), None);
}

#[test]
fn messages_and_quoted_lines_are_found_in_the_source() {
    let files = files(&[
        ("p/a.py", "def f(n):\n    raise ValueError('cannot resolve the keyword %s here' % n)\n"),
        ("p/b.py", "def g(n):\n    return n.connection.quote_name(n, strict=True)\n"),
    ]);
    let issue = "Crash\n\nValueError: Cannot resolve the keyword 'x' here\n";
    assert_eq!(first(&files, issue, "messages").as_deref(), Some("p/a.py"));
    assert_eq!(first(&files, issue, "error strings").as_deref(), Some("p/a.py"));
    let quoted = "Crash\n\n    return n.connection.quote_name( n, strict=True )\n";
    assert_eq!(first(&files, quoted, "lines").as_deref(), Some("p/b.py"));
    assert_eq!(first(&files, quoted, "messages"), None);
}

#[test]
fn words_are_found_in_other_forms() {
    let files = files(&[("p/a.py", "def decode(x):\n    pass\n"), ("p/b.py", "x = 1\n")]);
    assert_eq!(first(&files, "Decoding crashes", "bm25"), None);
    assert_eq!(first(&files, "Decoding crashes", "bm25 inflected").as_deref(), Some("p/a.py"));
}

#[test]
fn outer_frames_count_less_and_the_function_decides_between_namesakes() {
    let files = files(&[
        ("p/x/core.py", "def run():\n    pass\n"),
        ("p/y/core.py", "def stop():\n    pass\n"),
        ("p/main.py", "def main():\n    pass\n"),
    ]);
    let issue = "Crash\n\nTraceback (most recent call last):\n  File \"/a/p/main.py\", line 3, in main\n\
        \x20   run()\n  File \"core.py\", line 9, in run\n    stop()\nValueError: x\n";
    let (paths, note) = listed(&files, issue, &[], "frames");
    assert_eq!(paths, ["p/x/core.py", "p/main.py"]);
    assert_eq!(note, "named in a traceback (line 6)");
}

#[test]
fn the_past_votes_by_number_by_fixes_and_by_company() {
    let files = files(&[
        ("p/a.py", "def volcano():\n    pass\n"),
        ("p/b.py", ""),
        ("p/c.py", ""),
        ("tests/test_b.py", "def test_glacier():\n    pass\n"),
    ]);
    let history = [
        commit(100, "Fix the melt (#1234)", &["p/b.py"]),
        commit(90, "Work on volcano", &["p/a.py", "p/c.py"]),
        commit(80, "Add things", &["p/c.py"]),
    ];
    let of = |issue: &str, list: &str| listed(&files, issue, &history, list).0;
    assert_eq!(of("Again\n\nsee #1234 for more", "issue numbers"), ["p/b.py"]);
    assert_eq!(of("Anything", "fixes"), ["p/b.py"]);
    assert_eq!(of("volcano", "changed together")[0], "p/c.py");
    assert_eq!(of("glacier", "test names"), ["p/b.py"]);
}
