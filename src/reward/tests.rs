//! Cases whose values the description of SWE-RL's reward names, `--safe`, and bad input. The
//! larger set, with values from CPython, is run by `tests/it/reward.rs`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::reward::{Flag, Options, Score, Summary, score_line, score_lines};

fn scored(case: &Value) -> Score {
    score_line(case.to_string().as_bytes(), &Options::default())
}

fn safe(case: &Value) -> Score {
    let options = Options { safe: true, ..Options::default() };
    score_line(case.to_string().as_bytes(), &options)
}

fn output(text: &str) -> Value {
    json!({
        "id": "x",
        "code_context": {"a.py": "x = 1\ny = 2\n"},
        "oracle_new_content": {"a.py": "x = 1\ny = 3\n"},
        "output": text,
    })
}

const RIGHT: &str = "<think>t</think><solution>\n```python\n### a.py\n<<<<<<< SEARCH\ny = 2\n\
                     =======\ny = 3\n>>>>>>> REPLACE\n```\n</solution>";

#[test]
fn a_right_answer_gets_one_and_a_broken_one_minus_one_with_the_reason() {
    assert_eq!(scored(&output(RIGHT)).reward, Some(1.0));
    for (from, to, reason) in [
        ("<think>", "", "`<think>` occurs 0 times"),
        ("</solution>", "</solution></solution>", "`</solution>` occurs 2 times"),
        (">t<", "> \u{1f}<", "the thought is empty"),
        ("```python", "```python\n", "no edit"),
        ("REPLACE", "REPLACE ", "no edit"),
        ("y = 3", "y = 2", "same text"),
        ("SEARCH\ny", "SEARCH\n y", "no line starts with"),
        ("a.py", "b.py", "no line starts with"),
    ] {
        let score = scored(&output(&RIGHT.replacen(from, to, 1)));
        assert_eq!((score.reward, &*score.flags), (Some(-1.0), &[Flag::Format][..]), "{from:?}");
        let error = score.error.unwrap();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_result_has_the_fields_of_the_contract() {
    let row = |score: &Score| serde_json::to_string(score).unwrap();
    assert_eq!(
        row(&scored(&output(RIGHT))),
        r#"{"id":"x","reward":1.0,"similarities":[{"path":"a.py","similarity":1.0}]}"#
    );
    assert_eq!(
        row(&scored(&output(""))),
        "{\"id\":\"x\",\"reward\":-1.0,\"similarities\":[],\"error\":\"`<think>` occurs 0 times in \
         the output instead of once\",\"flags\":[\"format\"]}"
    );
    assert_eq!(
        row(&scored(&json!({"id": 7}))),
        "{\"id\":7,\"error\":\"missing field: one of `output`, `pred_new_content`, `pred_patches` \
         says what is scored\"}"
    );
}

#[test]
fn the_published_definitions_holes_are_flagged_and_safe_mends_them() {
    let diffs =
        |oracle: &str, pred: &str| json!({"oracle_patches": [oracle], "pred_patches": [pred]});
    let mode = "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n";
    let other_mode = "diff --git a/x b/x\nold mode 100644\nnew mode 120000\n";
    let empty = "diff --git a/n b/n\nnew file mode 100644\nindex 0000000..e69de29\n";
    let binary = "diff --git a/i b/i\nBinary files a/i and b/i differ\n";
    let other_binary = "diff --git a/j b/j\nBinary files a/j and b/j differ\n";
    let plain = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-y\n+z\n";
    let plain_and_mode = format!("{mode}{plain}");
    for (oracle, pred, published, mended, flag) in [
        ("garbage", "rubbish", 1.0, 0.0, Some(Flag::Unparsable)),
        ("garbage", "garbage", 1.0, 0.0, Some(Flag::Unparsable)),
        ("garbage", "", 1.0, 0.0, Some(Flag::OracleUnparsable)),
        (plain, "garbage", 0.0, 0.0, Some(Flag::Unparsable)),
        (plain, &plain.replace("-1 ", "-1,7 "), 0.0, 0.0, Some(Flag::Unparsable)),
        (mode, mode, 0.0, 1.0, Some(Flag::EmptyChange)),
        (mode, other_mode, 0.0, 0.0, Some(Flag::EmptyChange)),
        (empty, empty, 0.0, 1.0, Some(Flag::EmptyChange)),
        (&plain_and_mode, plain, 1.0, 1.0, None),
        (binary, binary, 1.0, 1.0, Some(Flag::NoChange)),
        (binary, other_binary, 1.0, 0.0, Some(Flag::NoChange)),
        ("", "\n", 1.0, 1.0, Some(Flag::NoChange)),
        (plain, plain, 1.0, 1.0, None),
    ] {
        let case = diffs(oracle, pred);
        let (strict, safe) = (scored(&case), safe(&case));
        assert_eq!((strict.reward, safe.reward), (Some(published), Some(mended)), "{case}");
        assert!(flag.is_none_or(|flag| strict.flags.contains(&flag)), "{case}: {:?}", strict.flags);
        let differs = strict.reward != safe.reward;
        assert_eq!(safe.flags.contains(&Flag::Mended), differs, "{case}: {:?}", safe.flags);
    }
}

#[test]
fn a_bad_line_names_the_field_and_keeps_the_id() {
    let message = |line: &[u8]| {
        let score = score_line(line, &Options::default());
        assert_eq!(score.reward, None);
        format!(
            "{:?} {}",
            score.id.map(|id| serde_json::to_string(&id).unwrap()),
            score.error.unwrap()
        )
    };
    insta::assert_snapshot!(
        [
            &b"{"[..],
            b"[1, 2]",
            b"\xff{}",
            b"{} {}",
            br#"{"id": [1]}"#,
            br#"{"id": "a", "output": 3, "code_context": {}, "oracle_new_content": {}}"#,
            br#"{"id": "a", "output": null, "code_context": {}, "oracle_new_content": {}}"#,
            br#"{"id": "a", "output": "", "code_context": {"a.py": ["x"]}, "oracle_new_content": {}}"#,
            br#"{"id": "a", "output": "", "code_context": {}}"#,
            br#"{"id": "a", "outptu": "", "code_context": {}, "oracle_new_content": {}}"#,
            br#"{"id": "a", "output": "", "pred_new_content": {}, "code_context": {}, "oracle_new_content": {}}"#,
            br#"{"id": "a", "pred_patches": []}"#,
            br#"{"id": "a", "pred_patches": [], "oracle_patches": [], "output": ""}"#,
            br#"{"id": "a", "pred_patches": ["", 1], "oracle_patches": []}"#,
            br#"{"id": 5, "pred_patches": "diff", "oracle_patches": []}"#,
            br#"{"id": "a", "output": "\ud8zz", "code_context": {}, "oracle_new_content": {}}"#,
        ]
        .map(message)
        .join("\n")
    );
}

#[test]
fn limits_give_an_error_and_no_reward() {
    let refused = |case: &Value, options: &Options| {
        let score = score_line(case.to_string().as_bytes(), options);
        assert_eq!((score.reward, score.similarities.len()), (None, 0));
        score.error.unwrap()
    };
    // An empty search glues the replacement to every line: 20 MB from 40 kB.
    let glue =
        RIGHT.replacen("SEARCH\ny = 2", "SEARCH\n", 1).replacen("y = 3", &"x".repeat(20_000), 1);
    let mut case = output(&glue);
    case["code_context"]["a.py"] = "\n".repeat(10_000).into();
    let options = Options { max_text: 1 << 20, ..Options::default() };
    assert_eq!(
        refused(&case, &options),
        "not scored: `a.py` after the edits has 200030001 bytes, more than the limit of 1048576"
    );
    let long = |symbol: char| format!("{symbol}ab\n").repeat(100_000);
    let case = json!({
        "code_context": {}, "oracle_new_content": {"a": long('x')}, "pred_new_content": {"a": long('y')},
    });
    let options = Options { max_change: 1000, ..Options::default() };
    assert!(refused(&case, &options).contains(" characters together, more than the limit of 1000"));
    let options = Options { deadline: Some(Duration::from_millis(1)), ..Options::default() };
    assert_eq!(refused(&case, &options), "not scored: the deadline of 1ms passed");
}

#[test]
fn a_stream_keeps_the_order_and_scores_around_bad_lines() {
    let mut lines = String::new();
    for number in 0..500 {
        // Long and short ones, so that they finish in another order.
        let text = "line\n".repeat(if number % 7 == 0 { 2000 } else { 1 });
        let case = json!({
            "id": number, "code_context": {"a": text},
            "oracle_new_content": {"a": format!("{text}x")}, "pred_new_content": {"a": format!("{text}y{number}")},
        });
        let line = if number % 10 == 3 { "{\n".to_owned() } else { format!("{case}\r\n\n") };
        lines += &line;
    }
    let long = json!({"id": "z".repeat(50_000)}).to_string();
    lines += &long;
    let options = Options { max_text: 48 << 10, threads: 2, ..Options::default() };
    let mut out = Vec::new();
    let summary = score_lines(lines.as_bytes(), &mut out, &options, 4).unwrap();
    assert_eq!(summary, Summary { cases: 501, errors: 51 });
    let rows: Vec<Value> = out
        .split_inclusive(|&byte| byte == b'\n')
        .map(|row| serde_json::from_slice(row).unwrap())
        .collect();
    assert_eq!(rows.len(), 501);
    for (number, row) in rows[..500].iter().enumerate() {
        let expected = if number % 10 == 3 { Value::Null } else { number.into() };
        assert_eq!((&row["id"], row.get("reward").is_none()), (&expected, number % 10 == 3));
    }
    let error = rows[500]["error"].as_str().unwrap();
    assert_eq!(error, "not scored: the line has 50009 bytes, more than the limit of 49152");
}
