//! The stored matrix, class by test: what every policy beyond counting looks at.

use std::collections::{BTreeMap, BTreeSet};

use crate::artifact::{CandidateId, Execution, Outcome, Subject, TestKind};
use crate::stage::rerank::CandidateClass;

/// What a test says about a class; the worst of its members' outcomes. The order is from best to
/// worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Cell {
    /// No row: nobody asked the test about the class.
    Absent,
    /// The test passed.
    Pass,
    /// The test failed, crashed or ran too long.
    Fail,
    /// The test was asked for and could not be run.
    NotRun,
}

/// Cells of one family of tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family<'a> {
    /// Names, sorted.
    pub(crate) tests: Vec<&'a str>,
    /// `cells[class][test]`.
    pub(crate) cells: Vec<Vec<Cell>>,
}

impl Family<'_> {
    /// Tests with this outcome on a class.
    pub(crate) fn count(&self, class: usize, cell: Cell) -> usize {
        self.cells[class].iter().filter(|&&found| found == cell).count()
    }
}

/// Both families over the same classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matrix<'a> {
    /// Sampled scripts.
    pub(crate) reproduction: Family<'a>,
    /// The repository's own tests.
    pub(crate) regression: Family<'a>,
}

impl<'a> Matrix<'a> {
    /// Arranges the executions on members of `classes`; others are left out.
    pub(crate) fn new(classes: &[CandidateClass], executions: &'a [Execution]) -> Self {
        let class_of: BTreeMap<CandidateId, usize> = classes
            .iter()
            .enumerate()
            .flat_map(|(index, class)| class.members.iter().map(move |&member| (member, index)))
            .collect();
        let rows: Vec<(usize, &Execution)> = executions
            .iter()
            .filter_map(|row| match row.subject {
                Subject::Candidate(id) => class_of.get(&id).map(|&class| (class, row)),
                Subject::Base => None,
            })
            .collect();
        Self {
            reproduction: family(TestKind::Reproduction, classes.len(), &rows),
            regression: family(TestKind::Regression, classes.len(), &rows),
        }
    }
}

fn family<'a>(kind: TestKind, classes: usize, rows: &[(usize, &'a Execution)]) -> Family<'a> {
    let rows = || rows.iter().filter(move |(_, row)| row.kind == kind);
    let names: BTreeSet<&str> = rows().map(|(_, row)| row.test.as_str()).collect();
    let tests: Vec<&str> = names.into_iter().collect();
    let place: BTreeMap<&str, usize> = tests.iter().zip(0..).map(|(&name, i)| (name, i)).collect();
    let mut cells = vec![vec![Cell::Absent; tests.len()]; classes];
    for (class, row) in rows() {
        let cell = match row.outcome {
            Outcome::Pass => Cell::Pass,
            Outcome::Fail | Outcome::Error | Outcome::Timeout => Cell::Fail,
            Outcome::NotRun => Cell::NotRun,
        };
        let old = &mut cells[*class][place[row.test.as_str()]];
        *old = (*old).max(cell);
    }
    Family { tests, cells }
}
