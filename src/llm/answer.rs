//! The final part of a reply: what is left when thinking and the wrapping of the solution are
//! taken away. Pure. Only this part is ever parsed, so that drafts inside the thinking cannot
//! become edits.

use memchr::memmem;

use crate::llm::NoAnswer;

/// Tags that models put around their thinking.
const THINKING: [(&str, &str); 4] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
];

const SOLUTION: (&str, &str) = ("<solution>", "</solution>");

/// The final part of a reply with this `content` and this separate `reasoning`.
///
/// 1. Thinking at the beginning goes, up to its first closing tag; several blocks may follow one
///    another. A closing tag without an opening one ends thinking that the chat template opened.
/// 2. Of what remains, the text inside `<solution>` counts if there is one. A solution that is not
///    closed reaches to the end.
/// 3. Tags that touch a quote or a backtick are text about tags, not tags.
///
/// # Errors
/// [`NoAnswer::NoSolution`] if the reply ended while thinking, or directly after it;
/// [`NoAnswer::Empty`] if there is neither text nor thinking.
pub fn final_part(content: Option<&str>, reasoning: Option<&str>) -> Result<String, NoAnswer> {
    let mut thought = reasoning.is_some_and(|text| !text.trim().is_empty());
    let mut rest = content.unwrap_or_default();
    while let Some((open, close)) = opened(rest) {
        thought = true;
        let inside = &rest.trim_start()[open.len()..];
        match find_bare(inside, close) {
            Some(at) => rest = &inside[at + close.len()..],
            // Some models forget to close their thinking before a solution that is complete.
            None => rest = complete_solution(inside).ok_or(NoAnswer::NoSolution)?,
        }
    }
    if !thought && let Some(end) = template_opened_end(rest) {
        thought = true;
        rest = &rest[end..];
    }
    let answer = inside_solution(rest);
    match (answer.trim().is_empty(), thought) {
        (false, _) => Ok(answer.to_owned()),
        (true, true) => Err(NoAnswer::NoSolution),
        (true, false) => Err(NoAnswer::Empty),
    }
}

/// The tags of the thinking that `text` begins with.
fn opened(text: &str) -> Option<(&'static str, &'static str)> {
    let text = text.trim_start();
    THINKING.into_iter().find(|(open, _)| text.starts_with(open))
}

/// Where thinking ends whose opening tag stood in the prompt.
fn template_opened_end(text: &str) -> Option<usize> {
    THINKING.into_iter().find_map(|(open, close)| {
        let end = find_bare(text, close)?;
        // An opening tag in the middle of the text belongs to a pair that the text talks about.
        find_bare(&text[..end], open).is_none().then_some(end + close.len())
    })
}

/// What stands inside the solution tags, or all of `text`.
fn inside_solution(text: &str) -> &str {
    let (open, close) = SOLUTION;
    let Some(start) = find_bare(text, open).filter(|&at| begins_line(text, at)) else {
        return text;
    };
    let inside = &text[start + open.len()..];
    let end = inside.rmatch_indices(close).map(|(at, _)| at).find(|&at| is_bare(inside, at, close));
    &inside[..end.unwrap_or(inside.len())]
}

/// The last solution of `text`, with its tags, if it is closed and nothing follows it.
fn complete_solution(text: &str) -> Option<&str> {
    let (open, close) = SOLUTION;
    if !text.trim_end().ends_with(close) {
        return None;
    }
    let starts = text.rmatch_indices(open).map(|(at, _)| at);
    starts
        .into_iter()
        .find(|&at| is_bare(text, at, open) && begins_line(text, at))
        .map(|at| &text[at..])
}

fn begins_line(text: &str, at: usize) -> bool {
    let line = text[..at].rsplit('\n').next().unwrap_or_default();
    line.trim().is_empty()
}

/// First occurrence of `tag` that does not touch a quote.
fn find_bare(text: &str, tag: &str) -> Option<usize> {
    memmem::find_iter(text.as_bytes(), tag).find(|&at| is_bare(text, at, tag))
}

/// A fence may touch a tag; a single backtick is a quotation.
fn is_bare(text: &str, at: usize, tag: &str) -> bool {
    let quote = |c: char| matches!(c, '"' | '\'' | '`');
    let (before, after) = (&text[..at], &text[at + tag.len()..]);
    let bare_before = before.ends_with("```") || !before.ends_with(quote);
    let bare_after = after.starts_with("```") || !after.starts_with(quote);
    bare_before && bare_after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ok(content: &str) -> String {
        final_part(Some(content), None).expect(content)
    }

    fn err(content: Option<&str>, reasoning: Option<&str>) -> NoAnswer {
        final_part(content, reasoning).expect_err("no answer was expected")
    }

    #[test]
    fn plain_text_is_left_alone() {
        assert_eq!(ok("```\na.py\n```\n"), "```\na.py\n```\n");
    }

    #[test]
    fn drafts_in_the_thinking_never_reach_the_answer() {
        for text in [
            "<think>\ndraft\n</think>\n<solution>\nfinal\n</solution>",
            "<think>\ndraft\n</think>\n\nfinal",
            "  <think>draft</think>final",
            "<thinking>draft</thinking>final",
            "◁think▷draft◁/think▷final",
            "draft, opened by the template\n</think>\n\nfinal",
            "draft◁/think▷final",
            "<think>draft <solution>draft</solution></think><solution>final</solution>",
            "<think>draft</think><think>draft</think>final",
            "<think>\n</think>\n\n<solution>final",
            "<think>draft that mentions `</think>` itself</think>final",
            "<think>draft, never closed\n<solution>\nfinal\n</solution>\n",
            "<think>draft\n<solution>\ndraft\n</solution>\nno, better:\n<solution>\nfinal\n</solution>",
            "<think>draft</think>\nHere it is:\n<solution>\nfinal\n</solution>\nI hope it helps.",
        ] {
            let answer = ok(text);
            assert_eq!(answer.trim(), "final", "{text:?}");
        }
    }

    #[test]
    fn separate_reasoning_leaves_the_content_as_it_is() {
        assert_eq!(final_part(Some("final"), Some("draft")).unwrap(), "final");
        let wrapped = "<solution>final</solution>";
        assert_eq!(final_part(Some(wrapped), Some("draft")).unwrap(), "final");
        // The code edited may itself speak of the tag.
        let edit = "strip(text)\n</think>\nmore";
        assert_eq!(final_part(Some(edit), Some("draft")).unwrap(), edit);
    }

    #[test]
    fn a_reply_that_ended_while_thinking_has_no_solution() {
        for text in [
            "<think>\n### a.py\n<<<<<<< SEARCH",
            "◁think▷ and so on",
            "<think>ended</think>",
            "<think>ended</think>\n<solution>\n",
            "<think>a first <solution>draft</solution> and then",
            "ended </think> \n",
        ] {
            assert_eq!(err(Some(text), None), NoAnswer::NoSolution, "{text:?}");
        }
        assert_eq!(err(None, Some("still thinking")), NoAnswer::NoSolution);
        assert_eq!(err(Some(""), Some("still thinking")), NoAnswer::NoSolution);
    }

    #[test]
    fn nothing_at_all_is_empty() {
        for (content, reasoning) in
            [(None, None), (Some(""), None), (Some(" \n"), Some("")), (None, Some(" "))]
        {
            assert_eq!(err(content, reasoning), NoAnswer::Empty);
        }
        assert_eq!(err(Some("<solution>\n</solution>"), None), NoAnswer::Empty);
    }

    #[test]
    fn code_about_the_tags_is_not_cut() {
        let code = "```python\nEND = \"</think>\"\ntext.split('<solution>')\n```";
        assert_eq!(ok(code), code);
        let pair = "re.sub(r\"(<think>.*?</think>)\", '', text)";
        assert_eq!(ok(pair), pair);
        let solution = "<think>x</think>\n<solution>\nprint('</solution>')\n</solution>";
        assert_eq!(ok(solution), "\nprint('</solution>')\n");
    }

    #[test]
    fn a_fence_may_touch_a_tag() {
        assert_eq!(ok("<think>x</think>```\na.py\n```"), "```\na.py\n```");
        assert_eq!(ok("<think>x</think><solution>```\na.py\n```</solution>"), "```\na.py\n```");
    }
}
