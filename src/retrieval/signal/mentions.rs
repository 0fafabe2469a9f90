//! Files that the issue names: by path, by a link, by a frame of a traceback, by a module or by
//! what its code imports.

use std::collections::BTreeMap;

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;
use crate::retrieval::issue::{Frame, Mention};
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

/// Frames of sources, the innermost of the last traceback first.
fn frames<'e>(evidence: &'e Evidence) -> impl Iterator<Item = (&'e Frame, Vec<usize>)> {
    let frames = evidence.issue.frames.iter().rev();
    let frames = frames.map(|frame| (frame, matching(evidence, &frame.path, false)));
    frames.filter(|(_, files)| !files.is_empty())
}

fn note(frame: &Frame) -> Option<String> {
    Some(format!("named in a traceback (line {})", frame.line))
}

/// The last frame that lies in the repository, of all tracebacks taken together: the innermost
/// place that its authors wrote.
pub(crate) fn traceback(evidence: &Evidence) -> Vec<Hit> {
    let Some((frame, files)) = frames(evidence).next() else { return Vec::new() };
    let score = 1.0 / files.len() as f64;
    files.into_iter().map(|file| Hit { file, score, note: note(frame) }).collect()
}

/// All frames that lie in the repository: `1 / (1 + frames between it and the innermost)`, the best
/// of each file, over all tracebacks; only files that define the frame's function where it is known
/// and somebody defines it.
pub(crate) fn all_frames(evidence: &Evidence) -> Vec<Hit> {
    let mut best = BTreeMap::<usize, (f64, &Frame)>::new();
    let (mut traceback, mut depth) = (usize::MAX, 0);
    for (frame, files) in frames(evidence) {
        if frame.traceback != traceback {
            (traceback, depth) = (frame.traceback, 0);
        }
        depth += 1;
        let defines = |file: &usize| {
            let function = frame.function.as_deref().unwrap_or_default();
            let module = evidence.corpus.parsed[*file].as_ref();
            module.is_some_and(|module| module.definitions.iter().any(|d| d.name == function))
        };
        let sure = files.iter().copied().filter(defines).collect::<Vec<_>>();
        let files = if sure.is_empty() { files } else { sure };
        for file in &files {
            let score = 1.0 / (depth * files.len()) as f64;
            let entry = best.entry(*file).or_insert((score, frame));
            if score > entry.0 {
                *entry = (score, frame);
            }
        }
    }
    best.into_iter().map(|(file, (score, frame))| Hit { file, score, note: note(frame) }).collect()
}

/// Dotted names that are modules, or members that a module or package offers: the file that defines
/// them. A member counts full, a module alone half.
pub(crate) fn modules(evidence: &Evidence) -> Vec<Hit> {
    let mut scores = BTreeMap::<usize, (f64, &str)>::new();
    for dotted in &evidence.issue.dotted {
        let mut end = dotted.len();
        loop {
            if let Some((file, score)) = resolved(evidence, &dotted[..end], &dotted[end..]) {
                let entry = scores.entry(file).or_insert((0.0, dotted));
                entry.0 += score;
                break;
            }
            let Some(dot) = dotted[..end].rfind('.') else { break };
            end = dot;
        }
    }
    let hit = |(file, (score, name)): (usize, (f64, &str))| Hit {
        file,
        score,
        note: Some(format!("named as {name}")),
    };
    scores.into_iter().map(hit).collect()
}

fn resolved(evidence: &Evidence, module: &str, rest: &str) -> Option<(usize, f64)> {
    let corpus = evidence.corpus;
    let file = corpus.modules.find(module)?;
    if corpus.roles[file] != Role::Source {
        return None;
    }
    let member = rest.trim_start_matches('.').split('.').next().unwrap_or_default();
    let origin = corpus.modules.origin(file, member, &corpus.parsed);
    match origin.filter(|_| !member.is_empty()) {
        Some(origin) => Some((origin, 1.0)),
        // The name of a package alone says nothing about a file.
        None if corpus.files[file].path.ends_with("__init__.py") => {
            (module.contains('.')).then_some((file, 0.3))
        }
        None => Some((file, 0.5)),
    }
}

/// What code blocks import, and with a star import the names that they use: the files that define
/// it. Divided by how many there are, doubled for names of the title.
pub(crate) fn imported(evidence: &Evidence) -> Vec<Hit> {
    let corpus = evidence.corpus;
    let mut found = BTreeMap::<(usize, &str), f64>::new();
    for (module, name) in &evidence.issue.imported {
        let Some(file) = corpus.modules.find(module) else { continue };
        if corpus.roles[file] != Role::Source {
            continue;
        }
        let names = match name.as_str() {
            "" => Vec::new(),
            "*" => evidence.issue.words.keys().map(String::as_str).collect(),
            name => vec![name],
        };
        for name in &names {
            let full = format!("{module}.{name}");
            let origin = corpus.modules.find(&full);
            let origin = origin.or_else(|| corpus.modules.origin(file, name, &corpus.parsed));
            if let Some(origin) = origin.filter(|origin| corpus.roles[*origin] == Role::Source) {
                let weight = if evidence.issue.titled.contains(*name) { 2.0 } else { 1.0 };
                let entry = found.entry((origin, name)).or_default();
                *entry = f64::max(*entry, weight);
            }
        }
        if names.is_empty() && module.contains('.') {
            found.insert((file, module), 1.0);
        }
    }
    let total = found.values().sum::<f64>();
    let mut scores = BTreeMap::<usize, (f64, &str)>::new();
    for ((file, name), weight) in found {
        scores.entry(file).or_insert((0.0, name)).0 += weight / total;
    }
    let hit = |(file, (score, name)): (usize, (f64, &str))| Hit {
        file,
        score,
        note: Some(format!("defines {name}, which the issue imports")),
    };
    scores.into_iter().map(hit).collect()
}
