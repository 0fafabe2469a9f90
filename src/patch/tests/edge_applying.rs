//! The design's edge cases E26-E49 (column "ours", tolerant): places, changes, diffs, classes.

use super::*;

#[test]
fn e26_e27_whole_lines_only() {
    rejects(&edit("return a", "return b"), ReasonCode::NotFound);
    let tree = Tree::new([("a.py", b"foo\nfoobar\n".as_slice())]);
    let answer = "### a.py\n<<<<<<< SEARCH\nfoo\n=======\nbaz\n>>>>>>> REPLACE";
    let applied = apply_answer(answer, &[], &tree, &ApplyOptions::default()).unwrap();
    assert_eq!(text_of(&applied).1, "baz\nfoobar\n");
}

#[test]
fn e28_several_places() {
    let tree = Tree::new([("a.py", b"x\nx\nx\ny\nx\n".as_slice())]);
    let answer = "### a.py\n<<<<<<< SEARCH\nx\nx\n=======\nz\n>>>>>>> REPLACE";
    let found = apply_answer(answer, &[], &tree, &ApplyOptions::default());
    assert_eq!(found.unwrap_err().code, ReasonCode::Ambiguous);
    let all = ApplyOptions { replace_all: true, ..ApplyOptions::default() };
    let answer = "### a.py\n<<<<<<< SEARCH\nx\n=======\nz\n>>>>>>> REPLACE";
    let applied = apply_answer(answer, &[], &tree, &all).unwrap();
    assert_eq!(text_of(&applied), ("a.py", "z\nz\nz\ny\nz\n", vec!["all"]));
}

#[test]
fn e29_uniform_indentation_off() {
    let dedented = edit("return a + b", "c = a + b\nif c:\n    c += 1\nreturn c");
    let new = A_PY
        .replace("    return a + b\n", "    c = a + b\n    if c:\n        c += 1\n    return c\n");
    accepts(&dedented, "a.py", &new, &["reindented"]);
    let indented = edit(
        "    def add(a, b):\n        return a + b",
        "    def add(a, b):\n        return b + a",
    );
    accepts(&indented, "a.py", ADD, &["reindented"]);
    rejects(&edit("    def add(a, b):\n    return a + b", "    x"), ReasonCode::NotFound);
    rejects(&edit("    def add(a, b):\n        return a + b", "x"), ReasonCode::NotFound);
}

#[test]
fn e30_trailing_blanks() {
    accepts(&edit("    return a + b  ", "    return b + a"), "a.py", ADD, &["trailing_blanks"]);
    let tree = Tree::new([("a.py", b"a  \nb\t\nc\n".as_slice())]);
    let answer = "### a.py\n<<<<<<< SEARCH\na\nb\nc\n=======\na\nB\nc\n>>>>>>> REPLACE";
    let applied = apply_answer(answer, &[], &tree, &ApplyOptions::default()).unwrap();
    assert_eq!(text_of(&applied), ("a.py", "a  \nB\nc\n", vec!["trailing_blanks"]));
}

#[test]
fn blank_lines_and_likeness_are_the_last_rules() {
    let answer = edit(
        "def add(a, b):\n\n    return a + b\ndef subtract(a, b):",
        "def add(a, b):\n\n    return b + a\ndef subtract(a, b):",
    );
    let applied = apply(&answer).unwrap();
    let (_, text, rules) = text_of(&applied);
    assert_eq!(rules, ["blank_lines"]);
    assert_eq!(text.replace("\n\n", "\n"), ADD.replace("\n\n", "\n"));
    let file = "def solve(first, second, third):\n    total = first + second\n    total += third\n    return total\n";
    let tree = Tree::new([("a.py", file.as_bytes())]);
    let answer = "### a.py\n<<<<<<< SEARCH\ndef solve(first, second, third, ):\n    total = first + second\n    total += third\n    return total\n=======\ndef solve(first, second, third, ):\n    total = first + second\n    total -= third\n    return total\n>>>>>>> REPLACE";
    let applied = apply_answer(answer, &[], &tree, &ApplyOptions::default()).unwrap();
    // The line that the model misremembered but did not change keeps the file's text.
    assert_eq!(
        text_of(&applied),
        ("a.py", file.replace("+= third", "-= third").as_str(), vec!["fuzzy"])
    );
    let twice = Tree::new([("a.py", format!("{file}{file}").as_bytes())]);
    let found = apply_answer(answer, &[], &twice, &ApplyOptions::default());
    assert_eq!(found.unwrap_err().code, ReasonCode::Ambiguous);
}

#[test]
fn e31_search_equals_replacement() {
    rejects(&edit("import os", "import os"), ReasonCode::Noop);
    let answer = format!(
        "{}{}",
        edit("import os", "import os"),
        edit("    return a + b", "    return b + a")
    );
    accepts(&answer, "a.py", ADD, &["exact"]);
    let there_and_back =
        format!("{}{}", edit("import os", "import re"), edit("import re", "import os"));
    rejects(&there_and_back, ReasonCode::Unchanged);
}

#[test]
fn e32_e33_edits_are_sequential() {
    let answer = format!("{}{}", edit("import os", "import re"), edit("import re", "import ast"));
    accepts(&answer, "a.py", &A_PY.replace("import os", "import ast"), &["exact", "exact"]);
    let answer = format!("{}{}", edit("import os", "import re"), edit("import os", "import ast"));
    let rejection = apply(&answer).unwrap_err();
    assert_eq!(rejection.code, ReasonCode::NotFound);
    assert!(rejection.detail.contains("an earlier edit changed it"), "{rejection}");
}

#[test]
fn e34_files_that_were_not_shown() {
    let body = "<<<<<<< SEARCH\n    pass\n=======\n    return 1\n>>>>>>> REPLACE\n";
    for path in ["pkg/core/util.py", "core/util.py", "util.py", "repo/pkg/core/util.py"] {
        accepts(
            &format!("### {path}\n{body}"),
            "pkg/core/util.py",
            "def util():\n    return 1\n",
            &["exact"],
        );
    }
    rejects(&format!("### pkg/core/missing.py\n{body}"), ReasonCode::NoSuchFile);
    let mut tree = tree();
    tree.put("other/util.py", b"    pass\n", FileMode::Regular);
    let found = apply_answer(&format!("### util.py\n{body}"), &[], &tree, &ApplyOptions::default());
    assert_eq!(found.unwrap_err().code, ReasonCode::Ambiguous);
}

#[test]
fn e35_e36_empty_search() {
    let create =
        |path: &str| format!("### {path}\n<<<<<<< SEARCH\n=======\nnew = 1\n>>>>>>> REPLACE\n");
    accepts(&create("pkg/new.py"), "pkg/new.py", "new = 1\n", &["create"]);
    accepts(&create("Makefile"), "Makefile", "new = 1\n", &["create"]);
    accepts(&create("pkg/__init__.py"), "pkg/__init__.py", "new = 1\n", &["fill"]);
    rejects(&create("a.py"), ReasonCode::EmptySearchOnExisting);
    rejects(&create("pkg"), ReasonCode::PathConflict);
    rejects(&create("a.py/b.py"), ReasonCode::PathConflict);
    rejects("<<<<<<< SEARCH\n=======\nnew = 1\n>>>>>>> REPLACE\n", ReasonCode::NoPath);
    let both = format!("{}{}", create("n/m"), create("n/m/o.py"));
    rejects(&both, ReasonCode::PathConflict);
}

#[test]
fn e37_a_file_is_deleted_on_request_only() {
    rejects(
        "### b.py\n<<<<<<< SEARCH\nx = 1\ny = 2\n=======\n>>>>>>> REPLACE\n",
        ReasonCode::EmptiesFile,
    );
    let applied = apply("The module goes.\n\n### DELETE b.py\n").unwrap();
    assert_eq!(applied.rules, ["delete"]);
    assert_eq!((applied.changes[0].path.as_str(), &applied.changes[0].new), ("b.py", &None));
    rejects("### DELETE nothing.py\n", ReasonCode::NoSuchFile);
    rejects("### DELETE ../a.py\n", ReasonCode::UnsafePath);
    accepts(&format!("### DELETE the old sum\n### a.py\n{EDIT}"), "a.py", ADD, &["exact"]);
    let moved = "### DELETE b.py\n### c.py\n<<<<<<< SEARCH\n=======\nx = 1\n>>>>>>> REPLACE\n";
    assert_eq!(apply(moved).unwrap().changes.len(), 2);
}

#[test]
fn e38_atomic() {
    rejects(&format!("### a.py\n{EDIT}### b.py\n{EDIT_2}"), ReasonCode::NotFound);
}

#[test]
fn e39_first_and_last_line_are_kept_exactly() {
    let tree = Tree::new([("a.py", b"\n\nfirst\nlast".as_slice())]);
    let run = |search: &str, replace: &str| {
        let answer =
            format!("### a.py\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE");
        let applied = apply_answer(&answer, &[], &tree, &ApplyOptions::default()).unwrap();
        text_of(&applied).1.to_owned()
    };
    assert_eq!(run("first", "1\n2"), "\n\n1\n2\nlast");
    assert_eq!(run("last", "l1\nl2"), "\n\nfirst\nl1\nl2");
    assert_eq!(run("last", "last\nmore"), "\n\nfirst\nlast\nmore");
}

#[test]
fn e40_elision_lines() {
    accepts(&edit("...\n    return a + b", "...\n    return b + a"), "a.py", ADD, &["elided"]);
    accepts(
        &edit("# ...\n    return a + b\n# ... rest of the code ...", "    return b + a"),
        "a.py",
        ADD,
        &["elided"],
    );
    // As contexts write them; within the text there is no telling what the model meant.
    let line = "... 12 lines not shown ...";
    accepts(
        &edit(&format!("{line}\n    return a + b"), "    return b + a"),
        "a.py",
        ADD,
        &["elided"],
    );
    rejects(&edit(line, "import re"), ReasonCode::NotFound);
    rejects(
        &edit(&format!("def add(a, b):\n{line}\n    return a + b"), "x = 1"),
        ReasonCode::NotFound,
    );
    rejects(&edit("...", "import re"), ReasonCode::NotFound);
}

#[test]
fn e41_e47_kinds() {
    let kind = |answer: &str| classify(&apply(answer).unwrap().changes).kind;
    assert_eq!(kind(&edit("import os", "import os\n\n")), ClassKind::Whitespace);
    assert_eq!(kind(&edit("import os", "import os  # comment")), ClassKind::Cosmetic);
    assert_eq!(
        kind(&edit("def add(a, b):", "def add(a, b):\n    '''Adds.'''")),
        ClassKind::Cosmetic
    );
    assert_eq!(kind(&edit("import os", "import re")), ClassKind::Substantive);
}

#[test]
fn e42_e43_syntax() {
    let check = |answer: &str| {
        check_syntax(&apply(answer).unwrap().changes, None).map_err(|error| error.code)
    };
    assert_eq!(check(&edit("    return a + b", "    return (a + b")), Err(ReasonCode::Syntax));
    assert_eq!(check(&edit("    return a + b", "return a + b")), Err(ReasonCode::Syntax));
    assert_eq!(
        check(&edit("    return a - b", "    return a - b\nreturn 1")),
        Err(ReasonCode::Syntax)
    );
    assert_eq!(check(&edit("    return a + b", "    return b + a")), Ok(()));
    let cfg = "### setup.cfg\n<<<<<<< SEARCH\nname = x\n=======\nname = (\n>>>>>>> REPLACE\n";
    assert_eq!(check(cfg), Ok(()));
    let old = Tree::new([("a.py", b"print 'python 2'\nx = 1\n".as_slice())]);
    let answer = "### a.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = (\n>>>>>>> REPLACE\n";
    let applied = apply_answer(answer, &[], &old, &ApplyOptions::default()).unwrap();
    assert_eq!(check_syntax(&applied.changes, None), Ok(()));
    let walrus = apply(&edit("    return a + b", "    return (c := a + b)")).unwrap();
    assert_eq!(check_syntax(&walrus.changes, Some((3, 9))), Ok(()));
    let rejection = check_syntax(&walrus.changes, Some((3, 6))).unwrap_err();
    assert_eq!(
        (rejection.code, rejection.detail.starts_with("`a.py` line 4:")),
        (ReasonCode::Syntax, true)
    );
}

#[test]
fn e44_e45_e46_diffs() {
    let tree = Tree::new([("a.py", b"a\nlast".as_slice())]);
    let answer = "### a.py\n<<<<<<< SEARCH\nlast\n=======\nend\n>>>>>>> REPLACE";
    let applied = apply_answer(answer, &[], &tree, &ApplyOptions::default()).unwrap();
    assert!(diff(&applied.changes).ends_with(
        "@@ -1,2 +1,2 @@\n a\n-last\n\\ No newline at end of file\n+end\n\\ No newline at end of file\n"
    ));
    let b = "### b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 1\n>>>>>>> REPLACE\n";
    let text = diff(&apply(&format!("{b}### a.py\n{EDIT}")).unwrap().changes);
    assert!(!text.contains("b.py"), "{text}");
    let b = "### b.py\n<<<<<<< SEARCH\nx = 1\n=======\nx = 3\n>>>>>>> REPLACE\n";
    let one = apply(&format!("{b}### a.py\n{EDIT}")).unwrap();
    let two = apply(&format!("### a.py\n{EDIT}{b}")).unwrap();
    assert_eq!(one.changes, two.changes);
    assert_eq!(classify(&one.changes), classify(&two.changes));
}

#[test]
fn e48_e49_keys_of_files_that_do_not_parse() {
    let change = |old: &str, new: &str, path: &str| {
        let state = |text: &str| FileState { content: text.into(), mode: FileMode::Regular };
        classify(&[FileChange {
            path: path.to_owned(),
            old: Some(state(old)),
            new: Some(state(new)),
        }])
    };
    assert_eq!(change("print 'x'\n", "print('x')\n", "a.py").kind, ClassKind::Substantive);
    assert_eq!(change("print 'x'\n", "print 'y'\n", "a.py").kind, ClassKind::Substantive);
    assert_eq!(change("print 'x'\n", "print 'x'\n\n", "a.py").kind, ClassKind::Whitespace);
    let sql = change("-- x\nselect 1\n", "select 1\n", "q.sql");
    assert_eq!(sql.kind, ClassKind::Substantive);
    assert_ne!(sql, change("-- x\nselect 1\n", "-- y\nselect 1\n", "q.sql"));
}

#[test]
fn unsafe_paths_are_rejected() {
    let mut tree = tree();
    tree.put("link", b"/etc", FileMode::Symlink);
    tree.put("bin.dat", b"a\0b\n", FileMode::Regular);
    for (path, code) in [
        ("../x.py", ReasonCode::UnsafePath),
        ("/etc/x.py", ReasonCode::UnsafePath),
        (".git/config", ReasonCode::UnsafePath),
        (".GIT/hooks/x", ReasonCode::UnsafePath),
        ("pkg/.git./x.py", ReasonCode::UnsafePath),
        ("pkg//x.py", ReasonCode::UnsafePath),
        ("pkg/../../x.py", ReasonCode::UnsafePath),
        ("pkg\\x.py", ReasonCode::UnsafePath),
        ("C:/x.py", ReasonCode::UnsafePath),
        ("link/x.py", ReasonCode::UnsafePath),
        ("git~1/x.py", ReasonCode::UnsafePath),
    ] {
        let answer = format!("### {path}\n<<<<<<< SEARCH\n=======\nx\n>>>>>>> REPLACE");
        let found = apply_answer(&answer, &[], &tree, &ApplyOptions::default());
        assert_eq!(found.map_err(|error| error.code), Err(code), "{path}");
        let diff = format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x\n");
        assert_eq!(apply_diff(&diff, &tree).map_err(|error| error.code), Err(code), "{path}");
    }
    let link = "### link\n<<<<<<< SEARCH\n/etc\n=======\n/tmp\n>>>>>>> REPLACE";
    assert_eq!(
        apply_answer(link, &[], &tree, &ApplyOptions::default()).unwrap_err().code,
        ReasonCode::UnsafePath
    );
    let binary = "### bin.dat\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE";
    assert_eq!(
        apply_answer(binary, &[], &tree, &ApplyOptions::default()).unwrap_err().code,
        ReasonCode::NotText
    );
}

#[test]
fn legacy_encodings_survive() {
    let tree =
        Tree::new([("a.py", b"# coding: latin-1\nx = '\xe9'\ny = '\xe8'\nz = 1\n".as_slice())]);
    for shown in ["x = '\u{fffd}'\ny = '\u{fffd}'", "x = 'é'\ny = 'è'"] {
        let answer = format!(
            "### a.py\n<<<<<<< SEARCH\n{shown}\nz = 1\n=======\n{shown}\nz = 'ü'\n>>>>>>> REPLACE"
        );
        let applied = apply_answer(&answer, &[], &tree, &ApplyOptions::default()).unwrap();
        let new = &applied.changes[0].new.as_ref().unwrap().content;
        assert_eq!(new, b"# coding: latin-1\nx = '\xe9'\ny = '\xe8'\nz = '\xfc'\n");
        assert_eq!(apply_diff(&diff(&applied.changes), &tree).unwrap(), applied.changes);
    }
    let answer = "### a.py\n<<<<<<< SEARCH\nz = 1\n=======\nz = '→'\n>>>>>>> REPLACE";
    assert_eq!(
        apply_answer(answer, &[], &tree, &ApplyOptions::default()).unwrap_err().code,
        ReasonCode::NotText
    );
}
