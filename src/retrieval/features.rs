//! One row of numbers for each candidate: what the ranker judges by. The only implementation:
//! training reads what this writes.

use std::collections::BTreeMap;

use crate::retrieval::evidence::Evidence;
use crate::retrieval::fuse::{Placed, place, reciprocal};
use crate::retrieval::lists::{LISTS, PRIORS};
use crate::retrieval::role::Role;

/// How many files are judged by features; the others follow in the order of the fusion.
const CANDIDATES: usize = 200;

/// Features of the fusion as a whole.
const OVERALL: [&str; 13] = [
    "fusion share",
    "fusion place",
    "lists first",
    "lists top 3",
    "lists top 10",
    "folder share",
    "place in folder",
    "source",
    "issue frames",
    "issue code",
    "issue names",
    "issue title",
    "issue length",
];

/// What the lists say, before anything is weighed.
pub(crate) struct Votes {
    /// By position in [`LISTS`]; empty for those left out.
    pub(crate) lists: Vec<Vec<Placed>>,
    /// Sum of reciprocal ranks over the lists that equal weights fuse, by file.
    pub(crate) fusion: Vec<f64>,
    /// Names of lists or groups left out.
    without: Vec<String>,
}

impl Votes {
    pub(crate) fn of(evidence: &Evidence, without: &[String]) -> Self {
        let mut fusion = vec![0.0; evidence.corpus.files.len()];
        let mut lists = Vec::with_capacity(LISTS.len());
        for list in LISTS {
            if without.iter().any(|name| name == list.name || name == list.group) {
                lists.push(Vec::new());
                continue;
            }
            let placed = place((list.hits)(evidence));
            if list.fused {
                for placed in &placed {
                    fusion[placed.file] += reciprocal(placed.rank);
                }
            }
            lists.push(placed);
        }
        Self { lists, fusion, without: without.to_vec() }
    }
}

/// Rows of features, with the files that they are of.
pub(crate) struct Table {
    pub(crate) files: Vec<usize>,
    pub(crate) rows: Vec<Vec<f32>>,
}

/// What one number of a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feature {
    /// Its name: that of a list and `share` or `place`, or of a property.
    pub name: String,
    /// The group that it is left out with.
    pub group: &'static str,
    /// Whether it is the place in a list that equal weights fuse.
    pub fused: bool,
}

/// The features, in the order of a row.
#[must_use]
pub fn feature_names() -> Vec<Feature> {
    let lists = LISTS.iter().flat_map(|list| {
        [("share", false), ("place", list.fused)].map(|(kind, fused)| Feature {
            name: format!("{} {kind}", list.name),
            group: list.group,
            fused,
        })
    });
    let other = |name: &str, group| Feature { name: name.to_owned(), group, fused: false };
    let priors = PRIORS.iter().map(|prior| other(prior.name, prior.group));
    lists.chain(priors).chain(OVERALL.map(|name| other(name, "overall"))).collect()
}

impl Table {
    /// The first files of `order` and their features. `order` is by the fusion, best first.
    pub(crate) fn of(evidence: &Evidence, votes: &Votes, order: &[usize]) -> Self {
        let candidate = |file: &usize| {
            evidence.corpus.roles[*file] == Role::Source || votes.fusion[*file] > 0.0
        };
        let files = order.iter().copied().filter(candidate).take(CANDIDATES).collect::<Vec<_>>();
        let at = files.iter().enumerate().map(|(at, file)| (*file, at)).collect::<BTreeMap<_, _>>();
        let lists = 2 * LISTS.len();
        let mut rows = vec![vec![0.0_f32; lists + PRIORS.len() + OVERALL.len()]; files.len()];
        let mut tops = vec![[0.0_f32; 3]; files.len()];
        for (list, placed) in votes.lists.iter().enumerate() {
            for placed in placed {
                let Some(row) = at.get(&placed.file) else { continue };
                rows[*row][2 * list] = placed.share as f32;
                rows[*row][2 * list + 1] = reciprocal(placed.rank) as f32;
                for (top, within) in tops[*row].iter_mut().zip([1, 3, 10]) {
                    *top += f32::from(u8::from(placed.rank < within));
                }
            }
        }
        let most = files.first().map_or(1.0, |file| votes.fusion[*file]).max(f64::MIN_POSITIVE);
        let mut folders = BTreeMap::<&str, (f64, usize)>::new();
        for (place, file) in files.iter().enumerate() {
            let row = &mut rows[place];
            for (prior, value) in PRIORS.iter().zip(&mut row[lists..]) {
                if !votes.without.iter().any(|name| name == prior.name || name == prior.group) {
                    *value = (prior.value)(evidence, *file) as f32;
                }
            }
            let folder = folders.entry(folder(evidence, *file)).or_default();
            let share = votes.fusion[*file] / most;
            folder.0 += share;
            let source = evidence.corpus.roles[*file] == Role::Source;
            let overall = [
                share as f32,
                reciprocal(place) as f32,
                tops[place][0],
                tops[place][1],
                tops[place][2],
                0.0,
                reciprocal(folder.1) as f32,
                f32::from(u8::from(source)),
                f32::from(u8::from(!evidence.issue.frames.is_empty())),
                f32::from(u8::from(evidence.issue.program.len() > 40)),
                (1.0 + evidence.issue.code.len() as f32).ln(),
                evidence.queries.title.len() as f32,
                (1.0 + evidence.issue.text.len() as f32).ln(),
            ];
            folder.1 += 1;
            row[lists + PRIORS.len()..].copy_from_slice(&overall);
        }
        let full = folders.values().map(|(share, _)| *share).fold(f64::MIN_POSITIVE, f64::max);
        for (row, file) in rows.iter_mut().zip(&files) {
            row[lists + PRIORS.len() + 5] = (folders[folder(evidence, *file)].0 / full) as f32;
        }
        Self { files, rows }
    }
}

fn folder<'e>(evidence: &'e Evidence, file: usize) -> &'e str {
    evidence.corpus.files[file].path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
