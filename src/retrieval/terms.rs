//! From text to index terms: the parts of each identifier and, marked by `=`, the whole of it.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use rustc_hash::FxHashSet;
use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Words that say nothing about a place in the code: English function words, Python keywords, and
/// the vocabulary of issue templates.
const STOP: &str = "
a about above after again all also am an and any are aren as at be because been before being below
between both but by can cannot could couldn did didn do does doesn doing don down during each few
for from further get gets got had has hasn have haven having he her here hers him his how however
i if in into is isn it its itself just let ll may me might more most must my no nor not now of off
on once only or other our out over own please same she should shouldn since so some such than that
the their them then there these they this those through to too under until up us use used using
ve very was wasn we were weren what when where which while who whom why will with without won would
wouldn you your
assert async await break class continue def del elif else except false finally global import lambda
none nonlocal pass raise return self true try yield cls args kwargs
actual behavior behaviour bug code description environment error example expected feature file
following hi hello issue like line lines problem python reproduce reproduction request result
results see seems snippet steps thanks traceback version versions work works recent call last
";

static STOP_WORDS: LazyLock<FxHashSet<&'static str>> =
    LazyLock::new(|| STOP.split_whitespace().collect());

/// Longest stop word in bytes.
const LONGEST_STOP: usize = 12;

fn is_stop(term: &str) -> bool {
    term.len() <= LONGEST_STOP && STOP_WORDS.contains(term)
}

/// Identifiers of a text: a letter or underscore, then letters, digits and underscores.
pub(crate) fn identifiers(text: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let first = loop {
                let byte = *bytes.get(at)?;
                if byte.is_ascii() {
                    if byte.is_ascii_alphanumeric() || byte == b'_' {
                        break char::from(byte);
                    }
                    at += 1;
                } else {
                    let c = text[at..].chars().next()?;
                    if c.is_alphanumeric() {
                        break c;
                    }
                    at += c.len_utf8();
                }
            };
            let start = at;
            while let Some(byte) = bytes.get(at) {
                if byte.is_ascii() {
                    if !(byte.is_ascii_alphanumeric() || *byte == b'_') {
                        break;
                    }
                    at += 1;
                } else {
                    match text[at..].chars().next().filter(|c| c.is_alphanumeric()) {
                        Some(c) => at += c.len_utf8(),
                        None => break,
                    }
                }
            }
            if !first.is_numeric() {
                return Some(start..at);
            }
        }
    })
}

/// Parts of one identifier by underscores, digits and changes of case: `HTTPServer2` is `HTTP`,
/// `Server`, `2`.
fn parts(identifier: &str, into: &mut Vec<Range<usize>>) {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Upper,
        Lower,
        Digit,
        Other,
    }
    into.clear();
    let class = |c: char| match c {
        '_' => Class::Other,
        c if c.is_numeric() => Class::Digit,
        c if c.is_uppercase() => Class::Upper,
        _ => Class::Lower,
    };
    let mut start = 0;
    let mut before = Class::Other;
    let mut last_at = 0;
    for (at, c) in identifier.char_indices() {
        let now = class(c);
        let split = match (before, now) {
            (Class::Upper, Class::Lower) => {
                // The last capital of a run begins the next part.
                if last_at > start {
                    into.push(start..last_at);
                }
                start = last_at;
                false
            }
            (before, now) => before != now,
        };
        if split {
            if before != Class::Other && at > start {
                into.push(start..at);
            }
            start = at;
        }
        before = now;
        last_at = at;
    }
    if before != Class::Other && identifier.len() > start {
        into.push(start..identifier.len());
    }
}

/// Calls `emit` for each term of `text`: lower-case parts longer than one character that are no
/// stop words, and `=whole` in lower case for identifiers of several parts.
pub(crate) fn each_term(text: &str, mut emit: impl FnMut(&str)) {
    let mut pieces = Vec::new();
    let mut term = String::new();
    for range in identifiers(text) {
        let identifier = &text[range];
        parts(identifier, &mut pieces);
        for piece in &pieces {
            lower(&identifier[piece.clone()], "", &mut term);
            if term.len() > 1 && !is_stop(&term) {
                emit(&term);
            }
        }
        if pieces.len() > 1 {
            lower(identifier.trim_matches('_'), "=", &mut term);
            emit(&term);
        }
    }
}

fn lower(text: &str, prefix: &str, into: &mut String) {
    into.clear();
    into.push_str(prefix);
    if text.is_ascii() {
        into.push_str(text);
        into.make_ascii_lowercase();
    } else {
        into.extend(text.chars().flat_map(char::to_lowercase));
    }
}

/// A weighted bag of terms to search with, in order of the terms.
pub(crate) type Query = BTreeMap<String, f64>;

/// Weights `1 + ln(count)`, and `boost` more for each term of `title`.
pub(crate) fn query(text: &str, title: &str, boost: f64) -> Query {
    let mut query = Query::new();
    each_term(text, |term| *query.entry(term.to_owned()).or_default() += 1.0);
    for weight in query.values_mut() {
        *weight = 1.0 + weight.ln();
    }
    let mut titled = HashSet::new();
    each_term(title, |term| {
        if titled.insert(term.to_owned()) {
            *query.entry(term.to_owned()).or_default() += boost;
        }
    });
    query
}

/// Takes a text apart: calls its second argument for each term.
pub(crate) type EachTerm = fn(&str, &mut dyn FnMut(&str));

/// A way to take a text apart, as a tantivy tokenizer.
#[derive(Clone)]
pub(crate) struct TermTokenizer(pub(crate) EachTerm);

/// Terms of one text.
pub(crate) struct Terms<'t> {
    text: &'t str,
    each: EachTerm,
    /// The terms in one buffer and the end of each, for who takes them one by one.
    listed: Option<(String, std::vec::IntoIter<usize>)>,
    start: usize,
    token: Token,
}

impl Tokenizer for TermTokenizer {
    type TokenStream<'a> = Terms<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Terms<'a> {
        Terms { text, each: self.0, listed: None, start: 0, token: Token::default() }
    }
}

impl Terms<'_> {
    fn list(&self) -> (String, std::vec::IntoIter<usize>) {
        let (mut terms, mut ends) = (String::new(), Vec::new());
        (self.each)(self.text, &mut |term| {
            terms.push_str(term);
            ends.push(terms.len());
        });
        (terms, ends.into_iter())
    }
}

impl TokenStream for Terms<'_> {
    fn advance(&mut self) -> bool {
        if self.listed.is_none() {
            self.listed = Some(self.list());
        }
        let Some((terms, ends)) = &mut self.listed else { return false };
        let Some(end) = ends.next() else { return false };
        self.token.text.clear();
        self.token.text.push_str(&terms[self.start..end]);
        self.token.position = self.token.position.wrapping_add(1);
        self.start = end;
        true
    }

    fn token(&self) -> &Token {
        &self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.token
    }

    /// What indexing calls: hands each term on as it is found.
    fn process(&mut self, sink: &mut dyn FnMut(&Token)) {
        let token = &mut self.token;
        (self.each)(self.text, &mut |term| {
            token.text.clear();
            token.text.push_str(term);
            token.position = token.position.wrapping_add(1);
            sink(token);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> String {
        let mut all = Vec::new();
        each_term(text, |term| all.push(term.to_owned()));
        all.join(" ")
    }

    #[test]
    fn identifiers_give_their_parts_and_the_whole() {
        assert_eq!(terms("HTTPServerError2"), "http server =httpservererror2");
        assert_eq!(terms("get_queryset"), "queryset =get_queryset");
        assert_eq!(terms("__init__ x = foo"), "init foo");
        assert_eq!(terms("_private_name"), "private name =_private_name".replace("=_", "="));
        assert_eq!(terms("parseXML utf8Decode"), "parse xml =parsexml utf decode =utf8decode");
        assert_eq!(terms("The QuerySet is not 42 1e5 Übergröße"), "query set =queryset übergröße");
        assert_eq!(terms("def return self"), "");
    }

    #[test]
    fn a_stream_gives_the_same_terms_one_by_one_and_all_at_once() {
        let text = "parseXML of utf8Decode, twice: parseXML";
        let mut tokenizer = TermTokenizer(|text, emit| each_term(text, emit));
        let mut pushed = Vec::new();
        tokenizer.token_stream(text).process(&mut |token| pushed.push(token.clone()));
        let mut stream = tokenizer.token_stream(text);
        let pulled = std::iter::from_fn(|| stream.advance().then(|| stream.token().clone()));
        assert_eq!(pulled.collect::<Vec<_>>(), pushed);
        assert_eq!(pushed.len(), 10);
    }

    #[test]
    fn title_terms_weigh_more() {
        let query = query("crash in foo foo", "crash", 2.0);
        assert_eq!(query["crash"], 3.0);
        assert!((query["foo"] - (1.0 + 2f64.ln())).abs() < 1e-12);
    }
}
