//! Which earlier verdicts are not taken but made anew.

use crate::evaluate::{ErrorKind, Verdict};

/// A kind of earlier verdict. Kinds overlap: a run-out time is a timeout and an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Again {
    /// The infrastructure failed. Always made anew, asked or not.
    Infra,
    /// The gold tests themselves could not be set up.
    Harness,
    /// The tests ran past their limit.
    Timeout,
    /// Anything without a verdict about the tests, infrastructure failures included.
    Error,
    /// The tests say no.
    Unresolved,
    /// The tests say yes.
    Resolved,
    /// Everything.
    All,
}

impl Again {
    /// Whether the verdict is of this kind.
    #[must_use]
    pub fn holds(self, verdict: &Verdict) -> bool {
        let kind = match verdict {
            Verdict::Error { kind, .. } => Some(*kind),
            Verdict::Graded { .. } => None,
        };
        let resolved = matches!(verdict, Verdict::Graded { report } if report.resolved);
        match self {
            Self::Infra => is_infra(verdict),
            Self::Harness => {
                matches!(kind, Some(ErrorKind::TestPatchNotApplied | ErrorKind::NotGradable))
            }
            Self::Timeout => kind == Some(ErrorKind::TestsTimedOut),
            Self::Error => kind.is_some(),
            Self::Unresolved => kind.is_none() && !resolved,
            Self::Resolved => resolved,
            Self::All => true,
        }
    }
}

/// Whether the infrastructure kept a prediction from being judged.
fn is_infra(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Graded { report } => report.infra_failure,
        Verdict::Error { kind, .. } => *kind == ErrorKind::Infra,
    }
}

/// Whether an earlier verdict is taken although some kinds are asked for again. That a row cannot
/// be graded costs nothing to find out, and a newer version may be able to.
pub(super) fn is_kept(verdict: &Verdict, again: &[Again]) -> bool {
    let is_free = matches!(verdict, Verdict::Error { kind: ErrorKind::NotGradable, .. });
    !is_free && !is_infra(verdict) && !again.iter().any(|kind| kind.holds(verdict))
}
