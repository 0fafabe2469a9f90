//! Files that the issue names: by path, by a link, by a frame of a traceback.

use std::collections::BTreeMap;

use crate::retrieval::fuse::Hit;
use crate::retrieval::issue::Mention;
use crate::retrieval::rank::Evidence;
use crate::retrieval::role::Role;

/// Files whose path shares the most trailing components with `path`. One component is enough only
/// if `path` has no more; otherwise two, or all of the file's own.
fn matching(evidence: &Evidence, path: &str, with_others: bool) -> Vec<usize> {
    let named = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>();
    let Some(base) = named.last() else { return Vec::new() };
    let mut most = 0;
    let mut files = Vec::new();
    for file in evidence.corpus.named(base) {
        if !with_others && evidence.corpus.roles[*file] != Role::Source {
            continue;
        }
        let own = evidence.corpus.files[*file].path.split('/').rev();
        let shared = own.clone().zip(named.iter().rev()).take_while(|(a, b)| a == *b).count();
        let enough = shared >= 2 || named.len() == 1 || shared == own.count();
        if enough && shared >= most {
            if shared > most {
                files.clear();
            }
            most = shared;
            files.push(*file);
        }
    }
    files
}

fn vote(evidence: &Evidence, mentions: &[Mention], what: &str) -> Vec<Hit> {
    let mut scores = BTreeMap::<usize, (f64, usize)>::new();
    for mention in mentions {
        let files = matching(evidence, &mention.path, true);
        let share = 1.0 / files.len() as f64;
        for file in files {
            // A test is often named as evidence and seldom to be edited.
            let part = if evidence.corpus.roles[file] == Role::Source { 1.0 } else { 0.1 };
            scores.entry(file).or_insert((0.0, mention.line)).0 += share * part;
        }
    }
    let hit =
        |(file, (score, line))| Hit { file, score, note: Some(format!("{what} (line {line})")) };
    scores.into_iter().map(hit).collect()
}

/// Paths written in the text.
pub(crate) fn paths(evidence: &Evidence) -> Vec<Hit> {
    vote(evidence, &evidence.issue.mentions, "named in the issue")
}

/// Paths linked on GitHub.
pub(crate) fn links(evidence: &Evidence) -> Vec<Hit> {
    vote(evidence, &evidence.issue.links, "linked in the issue")
}

/// The last frame that lies in the repository, of all tracebacks taken together: the innermost
/// place that its authors wrote.
pub(crate) fn traceback(evidence: &Evidence) -> Vec<Hit> {
    let frames = evidence.issue.frames.iter().rev();
    let found = frames.map(|frame| (frame, matching(evidence, &frame.path, false)));
    let Some((frame, files)) = found.into_iter().find(|(_, files)| !files.is_empty()) else {
        return Vec::new();
    };
    let share = 1.0 / files.len() as f64;
    let note = format!("named in a traceback (line {})", frame.line);
    let hit = |file| Hit { file, score: share, note: Some(note.clone()) };
    files.into_iter().map(hit).collect()
}
