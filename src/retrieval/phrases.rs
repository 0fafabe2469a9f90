//! Terms made of more than one word: runs of three words of string literals, and whole lines of
//! code. They find the place that printed a message or that an issue quotes.

use crate::retrieval::terms::Query;

/// Words of a run.
const RUN: usize = 3;

/// A line of code with fewer letters and digits than this is found everywhere.
const SHORTEST_LINE: usize = 16;

/// Calls `emit` for each run of three words of one literal or line: letters alone, in lower case.
/// Numbers, placeholders and punctuation end a run, since they stand where a message varies.
pub(crate) fn each_run(text: &str, mut emit: impl FnMut(&str)) {
    let mut starts = Vec::<usize>::new();
    let mut words = String::new();
    let mut word = String::new();
    let mut rest = text.chars().chain(['\n']).peekable();
    while let Some(c) = rest.next() {
        if c.is_alphabetic() {
            word.extend(c.to_lowercase());
            continue;
        }
        // An apostrophe belongs to the word: don't.
        if c == '\'' && !word.is_empty() && rest.peek().is_some_and(|c| c.is_alphabetic()) {
            continue;
        }
        if !word.is_empty() {
            starts.push(words.len());
            words.push_str(&word);
            words.push('_');
            word.clear();
            if starts.len() >= RUN {
                emit(words[starts[starts.len() - RUN]..].trim_end_matches('_'));
            }
        }
        if !matches!(c, ' ' | '\t' | ',' | '-' | '"' | '`' | '\'' | '(' | ')') {
            starts.clear();
            words.clear();
        }
        // Format directives: the letter of `%s` and the name in `{name}` are no words.
        if c == '%' {
            rest.next_if(|c| c.is_alphabetic());
        } else if c == '{' {
            while rest.next_if(|c| *c != '}' && *c != '\n').is_some() {}
        }
    }
}

/// The term of a line of code: its characters without blanks, hashed. None for lines that are too
/// short to be telling.
pub(crate) fn line_term(line: &str) -> Option<String> {
    let line = line.trim();
    let letters = line.chars().filter(|c| c.is_alphanumeric()).take(SHORTEST_LINE).count();
    if letters < SHORTEST_LINE || line.starts_with('#') || line.len() > 400 {
        return None;
    }
    Some(hashed(line.bytes().filter(|byte| !byte.is_ascii_whitespace())))
}

/// Six letters that stand for a long term: a dictionary of long terms that mostly occur once costs
/// more than all others together. Two terms share them once in 2^36.
fn hashed(bytes: impl Iterator<Item = u8>) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    // FNV-1a: stable over versions and machines.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // Its low bits are the weaker ones.
    hash ^= hash >> 29;
    (0..6).map(|at| char::from(LETTERS[(hash >> (6 * at) & 63) as usize])).collect()
}

/// Calls `emit` for the terms of [`each_run`]'s runs.
pub(crate) fn each_run_term(text: &str, mut emit: impl FnMut(&str)) {
    each_run(text, |run| emit(&hashed(run.bytes())));
}

/// Calls `emit` for the term of each line of code that has one.
pub(crate) fn each_line(text: &str, mut emit: impl FnMut(&str)) {
    for line in text.lines() {
        if let Some(term) = line_term(line) {
            emit(&term);
        }
    }
}

/// The runs of an issue as a query.
pub(crate) fn wanted(text: &str) -> Query {
    let mut query = Query::new();
    for line in text.lines() {
        each_run_term(line, |run| {
            query.entry(run.to_owned()).or_insert(1.0);
        });
    }
    query
}

/// The lines of an issue as a query.
pub(crate) fn wanted_lines(text: &str) -> Query {
    let line = |line: &str| {
        let line = line.trim_start_matches([' ', '\t', '>', '+', '-', '.', 'E', '|']);
        line_term(line).map(|term| (term, 1.0))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str) -> Vec<String> {
        let mut all = Vec::new();
        each_run(text, |run| all.push(run.to_owned()));
        all
    }

    #[test]
    fn messages_meet_where_they_do_not_vary() {
        let literal = runs("Can't resolve keyword %s into field. Choices are: {names}");
        let printed = wanted("FieldError: Can't resolve keyword 'x1' into field. Choices are: a");
        assert_eq!(literal, ["cant_resolve_keyword"]);
        assert!(
            literal.iter().all(|run| printed.contains_key(&hashed(run.bytes()))),
            "{printed:?}"
        );
        assert_eq!(runs("two words"), Vec::<String>::new());
        assert_eq!(runs("a b c d"), ["a_b_c", "b_c_d"]);
    }

    #[test]
    fn quoted_lines_are_found_whatever_their_blanks() {
        let line = "        return self.connection.ops.quote_name(name)";
        let quoted = wanted_lines(">   return  self.connection.ops.quote_name(name)\nreturn x\n");
        assert_eq!(quoted.keys().collect::<Vec<_>>(), [&line_term(line).unwrap()]);
        assert_eq!(line_term("    return x"), None);
    }
}
