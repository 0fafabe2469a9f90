//! Small repositories made of texts, for the tests of this module.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::retrieval::{
    BlobIndex, Chronicle, Corpus, CorpusFile, History, PastCommit, PastFile, Plan, SourceFile,
};

pub(crate) fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.into(), text: text.into() }
}

/// A commit of that day; `old>new` among its files is a move.
pub(crate) fn commit(day: i64, message: &str, files: &[&str]) -> PastCommit {
    let file = |path: &&str| match path.split_once('>') {
        Some((old, new)) => PastFile { path: new.into(), old_path: Some(old.into()) },
        None => PastFile { path: (*path).into(), old_path: None },
    };
    let files = files.iter().map(file).collect();
    // Unique for each message, which is all that an id is for here.
    let mut id = [0_u8; 20];
    for (at, byte) in message.bytes().chain(day.to_le_bytes()).enumerate() {
        id[at % 20] = id[at % 20].wrapping_mul(31) ^ byte;
    }
    PastCommit { id, parents: Vec::new(), time: day * 86_400, message: message.into(), files }
}

/// The files indexed as those of one commit.
pub(crate) fn corpus(files: &[SourceFile]) -> Corpus {
    let mut texts = HashMap::new();
    let mut entries = Vec::new();
    for file in files {
        let mut hasher = DefaultHasher::new();
        file.text.hash(&mut hasher);
        let blob = u128::from(hasher.finish()) << 8;
        texts.insert(blob, file.text.as_str());
        entries.push(CorpusFile { path: file.path.clone(), blob: Some(blob) });
    }
    let mut plan = Plan::new(entries);
    let index = BlobIndex::in_memory();
    let mut more = true;
    while more {
        let known = index.segments().unwrap();
        let wanted = plan.wanted().into_iter().map(|(key, _)| key);
        let wanted = wanted.filter(|key| !known.contains(*key)).collect::<Vec<_>>();
        index.add(&wanted, &|at| Some(texts[&wanted[at].id()].to_owned())).unwrap();
        more = plan.lift(&index.segments().unwrap()).unwrap();
    }
    plan.corpus(&Arc::new(index.segments().unwrap())).unwrap()
}

/// The commits as ancestors of a base, the newest first.
pub(crate) fn history(commits: &[PastCommit]) -> History {
    let mut chronicle = Chronicle::default();
    let ancestors = commits.iter().map(|commit| chronicle.add(commit.clone())).collect();
    History::new(Arc::new(chronicle), ancestors)
}
