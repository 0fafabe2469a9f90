//! Names of the issue, and the files that define them.

use std::collections::{BTreeMap, BTreeSet};

use crate::retrieval::corpus::Corpus;
use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::Hit;
use crate::retrieval::issue::Issue;
use crate::source::DefinitionKind;

/// Where a name is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Position of the file in the corpus.
    pub(crate) file: usize,
    /// Index in the file's outline; None for variables.
    pub(crate) definition: Option<usize>,
}

/// Every place in sources where an identifier of the issue is defined.
pub(crate) struct Defined<'a> {
    places: BTreeMap<&'a str, Vec<Place>>,
    sources: f64,
}

/// Bases that are followed upwards from a class.
const BASES: usize = 6;

/// A base class with more namesakes than this is not followed.
const NAMESAKES: usize = 3;

impl<'a> Defined<'a> {
    pub(crate) fn of(issue: &Issue, corpus: &'a Corpus) -> Self {
        let mut places = BTreeMap::<&str, Vec<Place>>::new();
        // Every class has dunders; naming one says nothing about where.
        let wanted = |name: &str| {
            issue.words.contains_key(name) && !(name.starts_with("__") && name.ends_with("__"))
        };
        for file in &corpus.sources {
            let Some(module) = &corpus.parsed[*file] else { continue };
            for (at, definition) in module.definitions.iter().enumerate() {
                if wanted(&definition.name) {
                    let place = Place { file: *file, definition: Some(at) };
                    places.entry(definition.name.as_str()).or_default().push(place);
                }
            }
            for variable in &module.variables {
                if wanted(&variable.name) {
                    let place = Place { file: *file, definition: None };
                    places.entry(variable.name.as_str()).or_default().push(place);
                }
            }
        }
        Self { places, sources: corpus.sources.len() as f64 }
    }

    /// Places of a name, by file.
    pub(crate) fn places(&self, name: &str) -> &[Place] {
        self.places.get(name).map_or(&[], Vec::as_slice)
    }

    /// Files that define a name.
    fn files(&self, name: &str) -> BTreeSet<usize> {
        self.places(name).iter().map(|place| place.file).collect()
    }

    /// `ln(1 + files / files defining it)`.
    fn rarity(&self, files: usize) -> f64 {
        (1.0 + self.sources / files.max(1) as f64).ln()
    }
}

/// The best-scored name of each file, noted.
fn best(scored: impl Iterator<Item = (usize, f64, String)>) -> Vec<Hit> {
    let mut best = BTreeMap::<usize, (f64, String)>::new();
    for (file, score, name) in scored {
        let entry = best.entry(file).or_insert_with(|| (score, name.clone()));
        if score > entry.0 || (score == entry.0 && name < entry.1) {
            *entry = (score, name);
        }
    }
    let hit = |(file, (score, name))| Hit { file, score, note: Some(format!("defines {name}")) };
    best.into_iter().map(hit).collect()
}

/// For each file the rarest name of the issue that looks like code and that it defines.
pub(crate) fn rarest(evidence: &Evidence) -> Vec<Hit> {
    let defined = evidence.defined();
    best(evidence.issue.code.iter().flat_map(|name| {
        let files = defined.files(name);
        let score = defined.rarity(files.len());
        files.into_iter().map(move |file| (file, score, name.clone()))
    }))
}

/// The sum over all names that look like code and that the file defines, each by its rarity and
/// how often the issue says it: `rarity * (1 + ln(count))`.
pub(crate) fn all(evidence: &Evidence) -> Vec<Hit> {
    let defined = evidence.defined();
    let mut scores = BTreeMap::<usize, f64>::new();
    for name in &evidence.issue.code {
        let files = defined.files(name);
        let count = evidence.issue.words.get(name).copied().unwrap_or(1) as f64;
        let score = defined.rarity(files.len()).powi(2) * (1.0 + count.ln());
        for file in files {
            *scores.entry(file).or_default() += score;
        }
    }
    scores.into_iter().map(|(file, score)| Hit { file, score, note: None }).collect()
}

/// For each file the rarest identifier of the title that it defines; words that could be plain
/// English count half.
pub(crate) fn title(evidence: &Evidence) -> Vec<Hit> {
    let defined = evidence.defined();
    best(evidence.issue.titled.iter().flat_map(|name| {
        let places = defined.places(name);
        // A variable or a nested function called like an English word is chance.
        let plain = !evidence.issue.code.contains(name);
        let files = places.iter().filter(|place| !plain || place.definition.is_some());
        let files = files.map(|place| place.file).collect::<BTreeSet<_>>();
        let score = defined.rarity(files.len()) * if plain { 0.5 } else { 1.0 };
        files.into_iter().map(move |file| (file, score, name.clone()))
    }))
}

/// A class and a member of it that the issue names both: in the file that has the member, be it
/// inherited. Scored by the rarities of the two names; half more where the text joins them by a
/// dot.
pub(crate) fn members(evidence: &Evidence) -> Vec<Hit> {
    let (corpus, defined) = (evidence.corpus, evidence.defined());
    let mut scored = Vec::new();
    for name in evidence.issue.words.keys() {
        for place in defined.places(name) {
            let Some(at) = place.definition else { continue };
            let module = corpus.parsed[place.file].as_ref().expect("a place is in an outline");
            if module.definitions[at].kind != DefinitionKind::Class {
                continue;
            }
            let class = defined.rarity(defined.files(name).len());
            for (file, class_at) in family(evidence, place.file, at) {
                let module = corpus.parsed[file].as_ref().expect("a family is of outlines");
                for member in &module.definitions {
                    if member.parent != Some(class_at)
                        || !evidence.issue.words.contains_key(&member.name)
                        || member.name.starts_with("__")
                    {
                        continue;
                    }
                    let own = defined.rarity(defined.files(&member.name).len());
                    let pair = format!("{name}.{}", member.name);
                    let joined = evidence.issue.dotted.iter().any(|dotted| dotted.contains(&pair));
                    let score = (class + own) * if joined { 1.5 } else { 1.0 };
                    scored.push((file, score, pair));
                }
            }
        }
    }
    best(scored.into_iter())
}

/// A class and the classes that it inherits from, as far as their names lead to one place.
fn family(evidence: &Evidence, file: usize, class: usize) -> Vec<(usize, usize)> {
    let corpus = evidence.corpus;
    let mut family = vec![(file, class)];
    let mut next = 0;
    while next < family.len() && family.len() < BASES {
        let (file, class) = family[next];
        next += 1;
        let Some(module) = &corpus.parsed[file] else { continue };
        for base in &module.definitions[class].bases {
            let name = base.rsplit('.').next().unwrap_or(base);
            let here = module.definitions.iter().position(|d| is_class(d, name));
            if let Some(at) = here {
                family.push((file, at));
                continue;
            }
            let found = corpus.modules.imported(file, name, &corpus.parsed);
            let Some(target) = found else { continue };
            let Some(outline) = &corpus.parsed[target] else { continue };
            let at = outline.definitions.iter().position(|d| is_class(d, name));
            family.extend(at.map(|at| (target, at)));
        }
        let mut seen = BTreeSet::new();
        family.retain(|known| seen.insert(*known));
    }
    family.truncate(BASES);
    family
}

fn is_class(definition: &crate::source::Definition, name: &str) -> bool {
    definition.kind == DefinitionKind::Class
        && definition.parent.is_none()
        && definition.name == name
}

/// Files of the classes that a class of the title or a quoted one inherits from: the cause often
/// lies one class up.
pub(crate) fn bases(evidence: &Evidence) -> Vec<Hit> {
    let (corpus, defined) = (evidence.corpus, evidence.defined());
    let mut scored = Vec::new();
    for name in &evidence.issue.code {
        let places = defined.places(name);
        if places.len() > NAMESAKES {
            continue;
        }
        for place in places {
            let Some(at) = place.definition else { continue };
            let module = corpus.parsed[place.file].as_ref().expect("a place is in an outline");
            if module.definitions[at].kind != DefinitionKind::Class {
                continue;
            }
            let score = defined.rarity(places.len());
            for (depth, (file, class)) in family(evidence, place.file, at).iter().enumerate() {
                if depth > 0 {
                    let module = corpus.parsed[*file].as_ref().expect("a family is of outlines");
                    let base = &module.definitions[*class].name;
                    scored.push((*file, score / depth as f64, format!("{base}, a base of {name}")));
                }
            }
        }
    }
    best(scored.into_iter())
}
