//! Past commits as numbers: what is kept of each message and of the files that it changed.
//!
//! A chronicle only grows, and holds each word and each path once. Which of its commits count for
//! an issue is a list of their numbers: the ancestors of the base commit.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::retrieval::terms;

/// Raised whenever the same commit would be recorded differently: older chronicles are dropped.
pub const CHRONICLE_VERSION: u32 = 2;

static FIX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)(?-u:\b)(?:fix(?:e[sd]|ing)?|bug(?:fix)?|regression|crash|close[sd]?|resolve[sd]?)(?-u:\b)",
    )
    .expect("a constant pattern that the tests use")
});

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:#|/(?:issues|pull|ticket)/|gh-)([0-9]{2,7})(?-u:\b)")
        .expect("a constant pattern that the tests use")
});

/// A commit as git tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCommit {
    /// Its id.
    pub id: [u8; 20],
    /// Ids of its parents.
    pub parents: Vec<[u8; 20]>,
    /// Seconds since 1970 UTC.
    pub time: i64,
    /// The whole message.
    pub message: String,
    /// Files that it changed; empty for merges.
    pub files: Vec<PastFile>,
}

/// One file of a past commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastFile {
    /// Path after the commit.
    pub path: String,
    /// Path before, if the commit moved it.
    pub old_path: Option<String>,
}

/// What is kept of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: [u8; 20],
    pub(crate) parents: Vec<[u8; 20]>,
    pub(crate) time: i64,
    /// Number and count of each word of the message; the subject's count twice.
    pub(crate) words: Vec<(u32, u16)>,
    /// Words of the message in all, counted in the same way.
    pub(crate) length: u32,
    /// Whether the subject speaks of a fix.
    pub(crate) fix: bool,
    /// Numbers of issues that the message names.
    pub(crate) numbers: Vec<u32>,
    /// Numbers of the paths after the commit and, if it moved the file, before.
    pub(crate) files: Vec<(u32, Option<u32>)>,
}

/// Commits of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chronicle {
    pub(crate) commits: Vec<Record>,
    pub(crate) words: Vec<String>,
    pub(crate) paths: Vec<String>,
    #[serde(skip)]
    word_numbers: FxHashMap<String, u32>,
    #[serde(skip)]
    path_numbers: FxHashMap<String, u32>,
    #[serde(skip)]
    commit_numbers: FxHashMap<[u8; 20], u32>,
}

/// The ancestors of one base commit.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub(crate) chronicle: Arc<Chronicle>,
    /// Numbers of commits, in the order of a walk from the base commit.
    pub(crate) ancestors: Vec<u32>,
}

impl History {
    /// These commits of the chronicle, the newest first.
    #[must_use]
    pub fn new(chronicle: Arc<Chronicle>, ancestors: Vec<u32>) -> Self {
        Self { chronicle, ancestors }
    }

    /// How many ancestors there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ancestors.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ancestors.is_empty()
    }
}

impl Chronicle {
    /// Bytes to keep.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain data of known length is always written")
    }

    /// None when the bytes are not a chronicle whose numbers all stand for something.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut chronicle = postcard::from_bytes::<Self>(bytes).ok()?;
        let (words, paths) = (chronicle.words.len() as u32, chronicle.paths.len() as u32);
        let sound = chronicle.commits.iter().all(|commit| {
            commit.words.iter().all(|(word, _)| *word < words)
                && commit
                    .files
                    .iter()
                    .all(|(new, old)| *new < paths && old.is_none_or(|old| old < paths))
        });
        let number = |texts: &[String]| {
            texts.iter().enumerate().map(|(at, text)| (text.clone(), at as u32)).collect()
        };
        chronicle.word_numbers = number(&chronicle.words);
        chronicle.path_numbers = number(&chronicle.paths);
        let commits = chronicle.commits.iter().enumerate();
        chronicle.commit_numbers = commits.map(|(at, commit)| (commit.id, at as u32)).collect();
        sound.then_some(chronicle)
    }

    /// Commits, words and paths recorded.
    #[must_use]
    pub fn size(&self) -> (usize, usize, usize) {
        (self.commits.len(), self.words.len(), self.paths.len())
    }

    /// The number of a commit.
    #[must_use]
    pub fn find(&self, id: [u8; 20]) -> Option<u32> {
        self.commit_numbers.get(&id).copied()
    }

    /// Ids of a commit's parents.
    #[must_use]
    pub fn parents(&self, commit: u32) -> &[[u8; 20]] {
        &self.commits[commit as usize].parents
    }

    /// The number of a word.
    pub(crate) fn word(&self, word: &str) -> Option<u32> {
        self.word_numbers.get(word).copied()
    }

    /// Records a commit and gives its number; one that is known keeps what it has.
    pub fn add(&mut self, commit: PastCommit) -> u32 {
        if let Some(known) = self.find(commit.id) {
            return known;
        }
        let number = self.commits.len() as u32;
        let (words, length) = self.message(&commit.message);
        let files = commit.files.into_iter().map(|file| {
            let old =
                file.old_path.map(|old| numbered(old, &mut self.path_numbers, &mut self.paths));
            (numbered(file.path, &mut self.path_numbers, &mut self.paths), old)
        });
        let files = files.collect();
        let subject = commit.message.lines().next().unwrap_or_default();
        let numbers = NUMBER.captures_iter(&commit.message).filter_map(|n| n[1].parse().ok());
        self.commit_numbers.insert(commit.id, number);
        self.commits.push(Record {
            id: commit.id,
            parents: commit.parents,
            time: commit.time,
            words,
            length,
            fix: FIX.is_match(subject),
            numbers: numbers.collect(),
            files,
        });
        number
    }

    /// Counts of a message's words and their sum: the subject's twice, trailers left out.
    fn message(&mut self, message: &str) -> (Vec<(u32, u16)>, u32) {
        let mut counts = BTreeMap::<u32, u16>::new();
        let mut length = 0;
        for (at, line) in message.lines().enumerate() {
            let trailer = ["Signed-off-by:", "Co-authored-by:", "Reviewed-by:"];
            if trailer.iter().any(|name| line.trim_start().starts_with(name)) {
                continue;
            }
            let times = if at == 0 { 2 } else { 1 };
            terms::each_term(line, |term| {
                length += u32::from(times);
                let number = match self.word_numbers.get(term) {
                    Some(number) => *number,
                    None => numbered(term.to_owned(), &mut self.word_numbers, &mut self.words),
                };
                let count = counts.entry(number).or_default();
                *count = count.saturating_add(times);
            });
        }
        // By the words themselves and not by their numbers, which depend on what was recorded
        // before: scores are summed in this order, and a sum depends on its order.
        let mut counts = counts.into_iter().collect::<Vec<_>>();
        counts.sort_by(|a, b| self.words[a.0 as usize].cmp(&self.words[b.0 as usize]));
        (counts, length)
    }
}

fn numbered(text: String, numbers: &mut FxHashMap<String, u32>, texts: &mut Vec<String>) -> u32 {
    if let Some(number) = numbers.get(&text) {
        return *number;
    }
    let number = texts.len() as u32;
    texts.push(text.clone());
    numbers.insert(text, number);
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(id: u8, message: &str) -> PastCommit {
        let files = vec![PastFile { path: "p/new.py".into(), old_path: Some("p/old.py".into()) }];
        let parents = vec![[id + 1; 20]];
        PastCommit { id: [id; 20], parents, time: 5, message: message.into(), files }
    }

    #[test]
    fn words_stand_in_an_order_that_does_not_depend_on_what_was_recorded_before() {
        let words = |messages: &[&str]| {
            let mut chronicle = Chronicle::default();
            let add = |(at, message): (usize, &&str)| chronicle.add(commit(at as u8, message));
            let last = messages.iter().enumerate().map(add).last().unwrap();
            let words = chronicle.commits[last as usize].words.iter();
            words.map(|(word, n)| (chronicle.words[*word as usize].clone(), *n)).collect::<Vec<_>>()
        };
        assert_eq!(words(&["zebra apple mango"]), words(&["mango", "zebra apple mango"]));
    }

    #[test]
    fn what_is_kept_survives_the_disk_and_damage_is_seen() {
        let mut chronicle = Chronicle::default();
        chronicle.add(commit(1, "Fixed #1234 -- crash of parse_header\n\nparse_header twice\n"));
        chronicle.add(commit(2, "Add things\nSigned-off-by: parse_header"));
        let record = &chronicle.commits[0];
        let count = |word: &str| {
            let number = chronicle.word(word).unwrap();
            record.words.iter().find(|(known, _)| *known == number).unwrap().1
        };
        assert_eq!((count("=parse_header"), count("crash"), count("twice")), (3, 2, 1));
        assert_eq!((record.fix, record.numbers.as_slice()), (true, [1234].as_slice()));
        assert!(!chronicle.commits[1].fix);
        assert_eq!(chronicle.commits[1].length, 4);
        let bytes = chronicle.encode();
        let read = Chronicle::decode(&bytes).unwrap();
        assert_eq!(read.find([2; 20]), Some(1));
        assert_eq!(read, chronicle);
        assert_eq!(Chronicle::decode(&bytes[..bytes.len() - 9]), None);
        // A path number that stands for nothing.
        chronicle.commits[0].files[0].0 = 99;
        assert_eq!(Chronicle::decode(&chronicle.encode()), None);
    }
}
