//! What the signals look at: the issue, the files, the past, and the searches that several signals
//! share, each made once.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use crate::retrieval::corpus::{Corpus, Links};
use crate::retrieval::fuse::{self, Hit};
use crate::retrieval::inflect::inflected;
use crate::retrieval::issue::Issue;
use crate::retrieval::searches::Searches;
use crate::retrieval::signal::definitions::Defined;
use crate::retrieval::signal::history::Documents;
use crate::retrieval::signal::past::Past;
use crate::retrieval::signal::{definitions, history, lexical};
use crate::retrieval::terms::{self, Query};

/// The issue as queries.
pub(crate) struct Queries {
    /// All of it, its title counted more.
    pub(crate) whole: Query,
    /// The title alone.
    pub(crate) title: Query,
    /// Names that look like code.
    pub(crate) names: Query,
    /// What is neither code nor traceback.
    pub(crate) prose: Query,
    /// Code blocks and sessions.
    pub(crate) program: Query,
    /// Messages of errors.
    pub(crate) errors: Query,
    /// The title and the first lines of prose.
    pub(crate) lead: Query,
    /// `whole` with other forms of its words.
    pub(crate) inflected: Query,
    /// `title` with other forms of its words.
    pub(crate) inflected_title: Query,
}

/// Characters of prose that belong to the lead.
const LEAD: usize = 600;

impl Queries {
    pub(crate) fn of(issue: &Issue) -> Self {
        let plain = |text: &str| terms::query(text, "", 0.0);
        let names = issue.code.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let whole = terms::query(&issue.text, &issue.title, 2.0);
        let title = plain(&issue.title);
        let lead = issue.prose.chars().take(LEAD).collect::<String>();
        Self {
            inflected: inflected(&whole),
            inflected_title: inflected(&title),
            whole,
            title,
            lead: terms::query(&lead, &issue.title, 2.0),
            names: plain(&names),
            prose: terms::query(&issue.prose, &issue.title, 1.0),
            program: plain(&issue.program),
            errors: plain(&issue.errors.join("\n")),
        }
    }
}

/// Everything that a signal may read.
pub(crate) struct Evidence<'a> {
    pub(crate) issue: &'a Issue,
    pub(crate) queries: &'a Queries,
    pub(crate) corpus: &'a Corpus,
    pub(crate) past: Past,
    pub(crate) shared: Shared<'a>,
}

/// Searches that several signals read, made when the first asks.
#[derive(Default)]
pub(crate) struct Shared<'a> {
    searches: OnceCell<Searches>,
    tests: OnceCell<Vec<(usize, f64)>>,
    defined: OnceCell<Defined<'a>>,
    rarest: OnceCell<Vec<Hit>>,
    votes: OnceCell<Vec<Hit>>,
    documents: OnceCell<Documents>,
    quick: OnceCell<Vec<(usize, f64)>>,
    edges: OnceCell<BTreeMap<usize, Vec<usize>>>,
}

impl<'a> Evidence<'a> {
    /// What the sources answer.
    pub(crate) fn searches(&self) -> &Searches {
        self.shared
            .searches
            .get_or_init(|| Searches::of(&self.corpus.index, self.queries, &self.issue.text))
    }

    /// BM25F of the whole issue over tests and asides.
    pub(crate) fn tests(&self) -> &[(usize, f64)] {
        self.shared.tests.get_or_init(|| self.corpus.others.search(&self.queries.whole))
    }

    /// Where the identifiers of the issue are defined.
    pub(crate) fn defined(&self) -> &Defined<'a> {
        self.shared.defined.get_or_init(|| Defined::of(self.issue, self.corpus))
    }

    /// See [`definitions::rarest`].
    pub(crate) fn rarest(&self) -> &[Hit] {
        self.shared.rarest.get_or_init(|| definitions::rarest(self))
    }

    /// See [`history::votes`].
    pub(crate) fn votes(&self) -> &[Hit] {
        self.shared.votes.get_or_init(|| history::votes(self))
    }

    /// Past messages by file.
    pub(crate) fn documents(&self) -> &Documents {
        self.shared.documents.get_or_init(|| Documents::of(self))
    }

    /// Sources by a quick fusion of six lists, best first: what walks start from.
    pub(crate) fn quick(&self) -> &[(usize, f64)] {
        self.shared.quick.get_or_init(|| {
            let mut scores = BTreeMap::<usize, f64>::new();
            let lists = [
                lexical::issue(self),
                lexical::title(self),
                lexical::chunk_three(self),
                self.rarest().to_vec(),
                self.votes().to_vec(),
                history::votes_inflected(self),
            ];
            for hits in lists {
                for placed in fuse::place(hits) {
                    *scores.entry(placed.file).or_default() += fuse::reciprocal(placed.rank);
                }
            }
            let mut order = scores.into_iter().collect::<Vec<_>>();
            order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            order
        })
    }

    /// For each source the files that it imports, and the files that import it.
    pub(crate) fn links(&self) -> &'a (Links, Links) {
        self.corpus.links()
    }

    /// Both directions together.
    pub(crate) fn edges(&self) -> &Links {
        self.shared.edges.get_or_init(|| {
            let (down, up) = self.links();
            let mut edges = down.clone();
            for (file, files) in up {
                edges.entry(*file).or_default().extend(files);
            }
            edges
        })
    }
}
