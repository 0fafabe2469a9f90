//! Finds the patch in what a model wrote.

use crate::patch::{self, ApplyOptions, BaseTree};
use crate::reward::Text;

/// What a line of SWE-RL's edit format begins with.
const SEARCH: &str = "<<<<<<< SEARCH";

/// Whether a text is a diff from its first line on.
pub(super) fn is_diff(text: &str) -> bool {
    ["diff --git ", "--- ", "Index: "].iter().any(|start| text.starts_with(start))
}

/// The part that counts: after the thoughts, inside of the solution's tags, without the special
/// tokens that some trainers leave at the end.
fn final_part(answer: &str) -> &str {
    let mut text = answer.rsplit_once("</think>").map_or(answer, |(_, rest)| rest);
    if let Some((_, rest)) = text.split_once("<solution>") {
        text = rest.split_once("</solution>").map_or(rest, |(inner, _)| inner);
    }
    loop {
        let trimmed = text.trim_end();
        let cut = ["</s>", "<eos>"].iter().find_map(|token| trimmed.strip_suffix(token));
        let cut = cut.or_else(|| {
            let start = trimmed.ends_with("|>").then(|| trimmed.rfind("<|"))??;
            (!trimmed[start..].contains(char::is_whitespace)).then(|| &trimmed[..start])
        });
        match cut {
            Some(shorter) => text = shorter,
            None => return text,
        }
    }
}

/// The diff in an answer: in a fence, or from the line on which it begins.
pub(super) fn diff_in(answer: &str) -> Option<String> {
    let text = final_part(answer);
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("```") {
        let (language, body) = after.split_once('\n')?;
        let (inner, next) = body.split_once("\n```").unwrap_or((body, ""));
        let named = matches!(language.trim(), "diff" | "patch");
        if is_diff(inner.trim_start()) || (named && inner.contains("@@ ")) {
            return Some(format!("{}\n", inner.trim_end_matches('\n')));
        }
        rest = next;
    }
    let start = text
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .chain([0])
        .filter(|at| is_diff(&text[*at..]))
        .min()?;
    let diff = &text[start..];
    Some(if diff.ends_with('\n') { diff.to_owned() } else { format!("{diff}\n") })
}

/// The diff in an answer, or all of it where none is found.
pub(super) fn diff_or_all(answer: Text) -> Text {
    diff_in(&answer.to_str_lossy()).map_or(answer, Text::from)
}

/// The patch that an answer stands for: its diff, or its edits applied to the base tree.
///
/// # Errors
/// In words, what keeps the answer from being a patch; nothing if only the tree is missing.
pub(super) fn patch_in(
    answer: &str,
    base: Option<&dyn BaseTree>,
) -> Result<String, Option<String>> {
    if !answer.contains(SEARCH)
        && let Some(diff) = diff_in(answer)
    {
        return Ok(diff);
    }
    if !answer.contains(SEARCH) {
        return Err(Some("the answer holds neither edits nor a diff".to_owned()));
    }
    let base = base.ok_or(None)?;
    match patch::apply_answer(answer, &[], base, &ApplyOptions::default()) {
        Ok(applied) => Ok(patch::diff(&applied.changes)),
        Err(rejection) => Err(Some(rejection.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn diffs_are_found_wherever_models_put_them() {
        let cases = [
            DIFF.to_owned(),
            DIFF.trim_end().to_owned(),
            format!("<think>\n--- a/no\n</think>\n<solution>\n```diff\n{DIFF}```\n</solution>"),
            format!("Here:\n```\n{DIFF}```\nand ```diff\nnothing```"),
            format!("First `x`:\n```python\nx = 1\n```\n```patch\n{DIFF}```"),
            format!("It is\n{DIFF}<|im_end|>\n"),
            format!("{DIFF}</s>"),
        ];
        for case in cases {
            assert_eq!(diff_in(&case).as_deref(), Some(DIFF), "{case}");
        }
        for none in ["", "I would change x", "```diff\n```", "```"] {
            assert_eq!(diff_in(none), None, "{none}");
        }
    }

    #[test]
    fn edits_without_a_tree_are_not_the_models_fault() {
        let edits = "```python\n### x.py\n<<<<<<< SEARCH\na\n=======\nb\n>>>>>>> REPLACE\n```";
        assert_eq!(patch_in(edits, None), Err(None));
        assert!(matches!(patch_in("prose", None), Err(Some(_))));
        assert_eq!(patch_in(DIFF, None), Ok(DIFF.to_owned()));
    }
}
