//! Strict reading: the design's column "R", and agreement with the reward on any answer.

use proptest::prelude::*;

use super::*;
use crate::reward::{Files, Flag, Options, Text, search_replace_reward};

const STRICT: ApplyOptions = ApplyOptions { reading: Reading::Strict, replace_all: false };

fn solution(text: &str) -> String {
    format!("<think>t</think><solution>\n{text}\n</solution>")
}

fn strict(text: &str) -> Result<Applied, Rejection> {
    let shown = ["a.py", "b.py", "docs/index.rst"].map(str::to_owned);
    apply_answer(&solution(text), &shown, &tree(), &STRICT)
}

#[track_caller]
fn gives(text: &str, path: &str, content: &str) {
    let applied = strict(text).expect(text);
    assert_eq!(text_of(&applied), (path, content, vec!["strict"]), "{text}");
}

#[track_caller]
fn refuses(text: &str, code: ReasonCode) {
    assert_eq!(strict(text).expect_err(text).code, code, "{text}");
}

#[test]
fn e01_to_e25_what_the_reward_reads() {
    for fence in ["```python", "```", "```py", "```diff", "````python"] {
        gives(&format!("{fence}\n### a.py\n{EDIT}```"), "a.py", ADD);
    }
    let canonical = format!("```python\n### a.py\n{EDIT}```");
    refuses(&canonical.replace('\n', "\r\n"), ReasonCode::NoEdit);
    refuses(canonical.strip_suffix("```").unwrap(), ReasonCode::NoEdit);
    refuses(&canonical.replace(">>>>>>> REPLACE", ""), ReasonCode::NoEdit);
    refuses(&canonical.replace("### a.py", "a.py"), ReasonCode::NoEdit);
    refuses(&canonical.replace("### a.py", "### `a.py`"), ReasonCode::NotFound);
    refuses(&canonical.replace("### a.py", "# why\n### a.py"), ReasonCode::NoEdit);
    refuses(&canonical.replace("### a.py", "### a.py\n"), ReasonCode::NoEdit);
    refuses(&canonical.replace("REPLACE", "REPLACE "), ReasonCode::NoEdit);
    refuses(&canonical.replace("<<<<<<<", "<<<<<"), ReasonCode::NoEdit);
    refuses(&format!("{canonical}\n{canonical}"), ReasonCode::NotFound);
    // E07: the second edit becomes a part of the first one's replacement.
    let swallowed = format!("```python\n### a.py\n{EDIT}### a.py\n{EDIT_2}```");
    let inside = format!("    return b + a\n>>>>>>> REPLACE\n### a.py\n{EDIT_2}");
    let inside = inside.strip_suffix("\n>>>>>>> REPLACE\n").unwrap();
    gives(&swallowed, "a.py", &A_PY.replace("    return a + b", inside));
    let answer = |text: &str| apply_answer(text, &["a.py".to_owned()], &tree(), &STRICT);
    assert_eq!(answer(&canonical).unwrap_err().code, ReasonCode::NoSolution);
    let cut = format!("<think>{canonical}");
    assert_eq!(answer(&cut).unwrap_err().code, ReasonCode::NoSolution);
    let draft =
        format!("<think>{}</think><solution>\n{canonical}</solution>", edit("import os", "x"));
    assert_eq!(text_of(&answer(&draft).unwrap()).1, ADD);
}

#[test]
fn e26_to_e38_how_the_reward_applies() {
    refuses(&edit("return a", "return b"), ReasonCode::NotFound);
    refuses(&edit("return a + b", "return b + a"), ReasonCode::NotFound);
    refuses(&edit("    return a + b ", "    return b + a"), ReasonCode::NotFound);
    refuses(&edit("import os", "import os"), ReasonCode::Noop);
    // A search text needs to begin a line, not to end one, and all places are replaced.
    gives(&edit("    return a", "    return -a"), "a.py", &A_PY.replace("return a", "return -a"));
    gives(&edit("", "x"), "a.py", &format!("x{}", A_PY.replace('\n', "\nx")));
    let create = "```python\n### new/n.py\n<<<<<<< SEARCH\n\n=======\nx = 1\n>>>>>>> REPLACE\n```";
    gives(create, "new/n.py", "x = 1");
    let both = format!("{}{}", edit("    return a + b", "    return 1"), edit("nowhere", "x"));
    refuses(&both, ReasonCode::NotFound);
}

#[test]
fn what_no_reward_looks_at_is_still_refused() {
    let create = |path: &str| {
        format!("```python\n### {path}\n<<<<<<< SEARCH\n\n=======\nx\n>>>>>>> REPLACE\n```")
    };
    refuses(&create("../x.py"), ReasonCode::UnsafePath);
    refuses(&create(".git/config"), ReasonCode::UnsafePath);
    refuses(&create("pkg/core"), ReasonCode::PathConflict);
    refuses(&create("b.py/x"), ReasonCode::PathConflict);
    refuses(&create("setup.cfg"), ReasonCode::EmptySearchOnExisting);
    let there_and_back =
        format!("{}{}", edit("import os", "import re"), edit("import re", "import os"));
    refuses(&there_and_back, ReasonCode::Unchanged);
}

/// Answers of pieces that matter to a reader.
fn answers() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "```python\n",
        "```\n",
        "```",
        "### a.py\n",
        "### b.py\n",
        "### n.py\n",
        "a.py\n",
        "<<<<<<< SEARCH\n",
        "\n=======\n",
        "=======\n",
        "\n>>>>>>> REPLACE\n```\n",
        ">>>>>>> REPLACE\n",
        "import os",
        "    return a + b",
        "    return b + a",
        "x = 1",
        "y = 2",
        "x",
        "\n",
        "</solution>",
        "<think>",
        " ",
    ]);
    let edit = (
        prop::sample::select(vec!["a.py", "b.py", "n.py"]),
        prop::sample::select(vec!["import os", "x = 1", "x", "", "y = 2", "    return a", "q"]),
        prop::sample::select(vec!["import re", "x = 1", "", "a\nb", "y = 2"]),
    )
        .prop_map(|(path, search, replace)| {
            format!(
                "```python\n### {path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n\
                 >>>>>>> REPLACE\n```\n"
            )
        });
    let part = prop_oneof![2 => piece.prop_map(str::to_owned), 3 => edit];
    prop::collection::vec(part, 0..8).prop_map(|parts| solution(&parts.concat()))
}

proptest! {
    /// An answer gets −1 exactly where strict reading rejects it by the format, and its result is
    /// what the reward calls a perfect prediction.
    #[test]
    fn strict_reading_is_the_rewards_reading(answer in answers()) {
        let tree = tree();
        let shown = ["a.py", "b.py"].map(str::to_owned);
        let text = |path: &str| String::from_utf8(tree.read(path).unwrap().content).unwrap();
        let context: Files = shown
            .iter()
            .map(|path| (Text::from(path.as_str()), Text::from(text(path).as_str())))
            .collect();
        let output = Text::from(answer.as_str());
        let reward = |oracle: &Files| {
            search_replace_reward(&context, oracle, &output, &Options::default())
        };
        match apply_answer(&answer, &shown, &tree, &STRICT) {
            Ok(applied) => {
                let mut oracle = context.clone();
                for change in applied.changes {
                    let content = String::from_utf8(change.new.unwrap().content).unwrap();
                    oracle.insert(Text::from(change.path), Text::from(content));
                }
                prop_assert_eq!(reward(&oracle).reward, Some(1.0));
            }
            Err(rejection) => {
                let formal = !matches!(rejection.code, ReasonCode::Unchanged);
                let score = reward(&context);
                prop_assert_eq!(score.flags.contains(&Flag::Format), formal, "{}", rejection);
            }
        }
    }
}
