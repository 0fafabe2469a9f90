//! The design's edge cases E01-E25 (column "ours", tolerant): what counts as an edit.

use super::*;

#[test]
fn e01_canonical_block() {
    accepts(
        &format!("I fix it.\n\n```python\n### a.py\n{EDIT}```\nDone."),
        "a.py",
        ADD,
        &["exact"],
    );
}

#[test]
fn e02_e03_any_fence_or_none() {
    for (open, close) in [
        ("```", "```"),
        ("```py", "```"),
        ("```diff", "```"),
        ("````python", "````"),
        ("~~~", "~~~"),
        ("", ""),
    ] {
        accepts(&format!("{open}\n### a.py\n{EDIT}{close}\n"), "a.py", ADD, &["exact"]);
        accepts(&format!("### a.py\n{open}\n{EDIT}{close}\n"), "a.py", ADD, &["exact"]);
    }
}

#[test]
fn e04_crlf_answer_keeps_the_files_own_line_ends() {
    let answer = format!("```python\n### a.py\n{EDIT}```\n").replace('\n', "\r\n");
    accepts(&answer, "a.py", ADD, &["exact"]);
    let tree = Tree::new([("a.py", b"a\r\nb\r\nc\n".as_slice())]);
    let answer = "### a.py\n<<<<<<< SEARCH\nb\n=======\nb2\nb3\n>>>>>>> REPLACE\n";
    let applied = apply_answer(answer, &[], &tree, &ApplyOptions::default()).unwrap();
    assert_eq!(text_of(&applied).1, "a\r\nb2\r\nb3\r\nc\n");
}

#[test]
fn e05_missing_closing_fence() {
    accepts(&format!("```python\n### a.py\n{}", EDIT.trim_end()), "a.py", ADD, &["exact"]);
}

#[test]
fn e06_missing_replace_marker() {
    let cut = EDIT.trim_end().trim_end_matches(">>>>>>> REPLACE");
    rejects(&format!("```python\n### a.py\n{cut}"), ReasonCode::Unterminated);
    rejects(&format!("```python\n### a.py\n{cut}```\n"), ReasonCode::Unterminated);
    rejects(
        &format!("```python\n### a.py\n{cut}```\n```python\n### a.py\n{EDIT}```"),
        ReasonCode::Unterminated,
    );
    rejects("### a.py\n<<<<<<< SEARCH\nimport os\n>>>>>>> REPLACE\n", ReasonCode::NoDivider);
}

#[test]
fn e07_e08_two_edits_in_one_fence() {
    accepts(
        &format!("```python\n### a.py\n{EDIT}### a.py\n{EDIT_2}```"),
        "a.py",
        BOTH,
        &["exact", "exact"],
    );
    accepts(
        &format!("```python\n### a.py\n{EDIT}\n{EDIT_2}```"),
        "a.py",
        BOTH,
        &["exact", "exact"],
    );
    let other = "<<<<<<< SEARCH\nx = 1\n=======\nx = 3\n>>>>>>> REPLACE\n";
    let applied = apply(&format!("```python\n### a.py\n{EDIT}### b.py\n{other}```")).unwrap();
    let paths: Vec<_> = applied.changes.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(paths, ["a.py", "b.py"]);
}

#[test]
fn e09_e10_ways_to_write_a_path() {
    for path in [
        "a.py",
        "# a.py",
        "#### a.py",
        "### `a.py`",
        "`a.py`",
        "\"a.py\"",
        "### 'a.py'",
        "File: a.py",
        "### File: `a.py`",
        "**a.py**",
        "**File: `a.py`**",
        "### a.py:",
        "### a/a.py",
        "./a.py",
        "- a.py",
        "1. `a.py`",
        "// a.py",
        "<!-- a.py -->",
        "### a.py (modified)",
    ] {
        accepts(&format!("```python\n{path}\n{EDIT}```"), "a.py", ADD, &["exact"]);
        accepts(&format!("{path}\n```python\n{EDIT}```"), "a.py", ADD, &["exact"]);
    }
    for info in
        ["a.py", "python a.py", "python:a.py", "python title=\"a.py\"", "{.python file=a.py}"]
    {
        let applied =
            apply_answer(&format!("```{info}\n{EDIT}```"), &[], &tree(), &ApplyOptions::default());
        assert_eq!(text_of(&applied.expect(info)).0, "a.py");
    }
}

#[test]
fn e11_e12_text_or_blank_lines_around_the_path() {
    accepts(&format!("```python\n# fix the sum\n### a.py\n{EDIT}```"), "a.py", ADD, &["exact"]);
    accepts(&format!("```python\n### a.py\n# fix the sum\n{EDIT}```"), "a.py", ADD, &["exact"]);
    accepts(&format!("```python\n### a.py\n\n\n{EDIT}```"), "a.py", ADD, &["exact"]);
    accepts(&format!("```python\n### a.py\n# and/or\n{EDIT}```"), "a.py", ADD, &["exact"]);
    let two = format!("```python\n### a.py\n{EDIT}# TODO/FIXME\n{EDIT_2}```");
    accepts(&two, "a.py", BOTH, &["exact", "exact"]);
}

#[test]
fn e13_no_path() {
    accepts(&format!("```python\n{EDIT}```"), "a.py", ADD, &["exact"]);
    rejects("<<<<<<< SEARCH\nnowhere\n=======\nx\n>>>>>>> REPLACE", ReasonCode::NoPath);
    let tree = Tree::new([("a.py", b"x\n".as_slice()), ("b.py", b"x\n")]);
    let shown = ["a.py", "b.py"].map(str::to_owned);
    let answer = "<<<<<<< SEARCH\nx\n=======\ny\n>>>>>>> REPLACE";
    let found = apply_answer(answer, &shown, &tree, &ApplyOptions::default());
    assert_eq!(found.unwrap_err().code, ReasonCode::Ambiguous);
    let found = apply_answer(answer, &shown[..1], &tree, &ApplyOptions::default());
    assert_eq!(text_of(&found.unwrap()).0, "a.py");
}

#[test]
fn e14_e15_empty_replacement_deletes_the_lines() {
    let without = A_PY.replace("import os\n", "");
    for replace in ["", "\n", "   \n"] {
        let deletion = format!("<<<<<<< SEARCH\nimport os\n=======\n{replace}>>>>>>> REPLACE\n");
        accepts(&format!("```python\n### a.py\n{deletion}```"), "a.py", &without, &["exact"]);
        let two = format!("```python\n### a.py\n{deletion}```\n```python\n### a.py\n{EDIT}```");
        accepts(&two, "a.py", &ADD.replace("import os\n", ""), &["exact", "exact"]);
    }
}

#[test]
fn e16_e17_divider_lines_inside_the_text() {
    let answer = "### docs/index.rst\n<<<<<<< SEARCH\nTitle\n=======\ntext\n=======\nTitle\n=======\nmore\n>>>>>>> REPLACE\n";
    accepts(answer, "docs/index.rst", "Title\n=======\nmore\n", &["exact"]);
    let answer = "### docs/index.rst\n<<<<<<< SEARCH\ntext\n=======\nPart 2\n=======\ntext\n>>>>>>> REPLACE\n";
    accepts(answer, "docs/index.rst", "Title\n=======\nPart 2\n=======\ntext\n", &["exact"]);
    let answer = "### b.py\n<<<<<<< SEARCH\nx = 1\n=======\nHead\n=====\nx = 1\n>>>>>>> REPLACE\n";
    accepts(answer, "b.py", "Head\n=====\nx = 1\ny = 2\n", &["exact"]);
}

#[test]
fn e18_fences_inside_the_code() {
    let answer = edit("import os", "import os\n\"\"\"\n```python\nadd(1, 2)\n```\n\"\"\"");
    let new = A_PY.replace("import os\n", "import os\n\"\"\"\n```python\nadd(1, 2)\n```\n\"\"\"\n");
    accepts(&answer, "a.py", &new, &["exact"]);
}

#[test]
fn e19_e20_markers() {
    for (a, b, c) in [
        ("<<<<<<< SEARCH ", "======= ", ">>>>>>> REPLACE  "),
        ("<<<< SEARCH", "====", ">>>> REPLACE"),
        ("<<<<<<<<< SEARCH", "=========", ">>>>>>>>> REPLACE"),
        ("<<<<<<<SEARCH", "=======", ">>>>>>>REPLACE"),
        ("<<<<<<< search", "=====", ">>>>>> replace"),
    ] {
        let answer = format!("### a.py\n{a}\n    return a + b\n{b}\n    return b + a\n{c}\n");
        accepts(&answer, "a.py", ADD, &["exact"]);
    }
    let listed = format!(
        "1. Fix:\n   ```python\n   ### a.py\n{}   ```\n",
        EDIT.lines().map(|l| format!("   {l}\n")).collect::<String>()
    );
    accepts(&listed, "a.py", ADD, &["exact"]);
    let three = "### a.py\n<<< SEARCH\n    return a + b\n===\n    return b + a\n>>> REPLACE\n";
    rejects(three, ReasonCode::NoEdit);
}

#[test]
fn e21_path_with_an_apostrophe() {
    accepts(
        "### it's.py\n<<<<<<< SEARCH\nq = 1\n=======\nq = 2\n>>>>>>> REPLACE\n",
        "it's.py",
        "q = 2\n",
        &["exact"],
    );
}

#[test]
fn e22_the_same_edit_twice() {
    let block = format!("```python\n### a.py\n{EDIT}```\n");
    accepts(&format!("{block}{block}"), "a.py", ADD, &["exact"]);
    let insertion = edit("import os", "import os\nimport sys");
    let new = A_PY.replace("import os\n", "import os\nimport sys\n");
    accepts(&format!("{insertion}{insertion}"), "a.py", &new, &["exact"]);
}

#[test]
fn e23_e24_thoughts() {
    let draft = edit("import os", "import draft");
    let last = edit("    return a + b", "    return b + a");
    accepts(
        &format!("<think>\n{draft}</think>\n<solution>\n{last}</solution>"),
        "a.py",
        ADD,
        &["exact"],
    );
    accepts(&format!("<think>\n{draft}\n</think>\n\n{last}"), "a.py", ADD, &["exact"]);
    accepts(&format!("{draft}\n</think>\n{last}"), "a.py", ADD, &["exact"]);
    accepts(&format!("{draft}\n<solution>\n{last}\n</solution>\n"), "a.py", ADD, &["exact"]);
    rejects(&format!("<think>\n{draft}"), ReasonCode::NoSolution);
    let tag = edit("import os", "tag = '</think>'");
    let new = A_PY.replace("import os\n", "tag = '</think>'\n");
    accepts(&tag, "a.py", &new, &["exact"]);
}

#[test]
fn e25_empty_answers() {
    for answer in ["", "   \n\n", "I cannot help.", "```python\nprint(1)\n```"] {
        rejects(answer, ReasonCode::NoEdit);
    }
}
