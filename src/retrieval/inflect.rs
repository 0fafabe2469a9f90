//! Other forms of English words: an issue says "decoding" where the code says `decode`. Forms are
//! guessed generously, since those that nobody uses are found nowhere.

use std::collections::BTreeSet;

use crate::retrieval::terms::Query;

/// What a form counts beside the word itself.
const FORM: f64 = 0.5;

/// Adds the other forms of each term that is a word, at half of its weight.
pub(crate) fn inflected(query: &Query) -> Query {
    let mut wider = query.clone();
    for (term, weight) in query {
        for form in forms(term) {
            let entry = wider.entry(form).or_insert(0.0);
            if *entry < FORM * weight {
                *entry = FORM * weight;
            }
        }
    }
    wider
}

/// Other forms of a word of at least four letters; none of compound terms.
fn forms(word: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return forms;
    }
    for base in bases(word) {
        let stem = base.strip_suffix('e').unwrap_or(&base);
        for suffix in ["", "e", "s", "es", "ed", "ing", "er", "ers", "or", "ion"] {
            forms.insert(format!("{stem}{suffix}"));
        }
        if let Some(stem) = base.strip_suffix('y') {
            forms.extend([format!("{stem}ies"), format!("{stem}ied")]);
        }
    }
    forms.remove(word);
    forms
}

/// What a word may be a form of, itself included.
fn bases(word: &str) -> BTreeSet<String> {
    let mut bases = BTreeSet::from([word.to_owned()]);
    let mut add = |base: &str| {
        if base.len() < 3 {
            return;
        }
        bases.insert(base.to_owned());
        // "mapping" is a form of "map".
        let mut last = base.bytes().rev();
        if base.len() > 3 && last.next() == last.next() {
            bases.insert(base[..base.len() - 1].to_owned());
        }
    };
    for suffix in ["s", "es", "ed", "ing", "er", "ers", "or", "ors", "ion", "ions"] {
        if let Some(base) = word.strip_suffix(suffix) {
            add(base);
        }
    }
    for suffix in ["ies", "ied"] {
        if let Some(base) = word.strip_suffix(suffix) {
            bases.insert(format!("{base}y"));
        }
    }
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_meet_in_all_their_forms() {
        for (said, written) in [
            ("decoding", "decode"),
            ("validators", "validator"),
            ("validators", "validate"),
            ("mapping", "map"),
            ("queries", "query"),
            ("query", "queries"),
            ("migrate", "migration"),
            ("reload", "reloader"),
            ("matches", "match"),
        ] {
            assert!(forms(said).contains(written), "{said} {written} {:?}", forms(said));
        }
        for same in ["=decoding", "map", "utf8"] {
            assert!(forms(same).is_empty(), "{same}");
        }
        let wider = inflected(&Query::from([("loads".into(), 2.0), ("load".into(), 0.5)]));
        assert_eq!((wider["loads"], wider["load"], wider["loading"]), (2.0, 1.0, 1.0));
    }
}
