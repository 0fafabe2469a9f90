//! One thing to score, and what can become of it.

use crate::artifact::InstanceId;
use crate::reward::{Case, Score, Text};
use crate::serve::Kind;

/// A field of a request that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Path of the field, such as `cases[3].output`; empty for the whole request.
    pub(super) field: String,
    /// What is wrong and what was expected.
    pub(super) message: String,
}

impl Wrong {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }

    /// The same below another field.
    #[must_use]
    pub(super) fn within(self, parent: &str) -> Self {
        let field = match (parent.is_empty(), self.field.is_empty()) {
            (true, _) => self.field,
            (_, true) => parent.to_owned(),
            _ if self.field.starts_with('[') => format!("{parent}{}", self.field),
            _ => format!("{parent}.{}", self.field),
        };
        Self { field, ..self }
    }
}

/// One thing to score.
#[derive(Debug)]
pub(super) enum Item {
    /// All is given.
    Case(Box<Case>),
    /// The reference is the gold patch of an instance.
    Like(InstanceId, Text),
    /// The answer is judged by an instance's hidden tests.
    Tests(InstanceId, Text),
}

impl Item {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Case(_) | Self::Like(..) => Kind::Similarity,
            Self::Tests(..) => Kind::Tests,
        }
    }
}

/// What became of an item.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// Compared with the reference.
    Compared(Score),
    /// Judged by tests.
    Judged {
        /// Whether the tests say that the issue is resolved.
        resolved: bool,
        /// Why it is not, where that is known.
        error: Option<String>,
        /// Whether the verdict was there already.
        cached: bool,
    },
    /// The request is at fault.
    Wrong(Wrong),
    /// Neither the model nor the request is at fault: there is no reward.
    Masked(Failure),
}

impl Outcome {
    /// The reward, if there is one.
    pub(super) fn reward(&self) -> Option<f64> {
        match self {
            Self::Compared(score) => score.reward,
            Self::Judged { resolved, .. } => Some(f64::from(u8::from(*resolved))),
            Self::Wrong(_) | Self::Masked(_) => None,
        }
    }

    /// What the model did wrong, in words.
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Self::Compared(score) => score.error.as_deref(),
            Self::Judged { error, .. } => error.as_deref(),
            Self::Wrong(_) | Self::Masked(_) => None,
        }
    }

    /// The name in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Compared(_) | Self::Judged { .. } => "scored",
            Self::Wrong(_) => "invalid",
            Self::Masked(_) => "masked",
        }
    }
}

/// Why an item has no reward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

/// Kinds of failures that are not the model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Engine, image, repository or disk.
    Infra,
    /// The deadline passed; tests that had begun go on, so another try may find their verdict.
    Deadline,
    /// The instance cannot be graded by this server.
    NotGradable,
    /// The server is about to end.
    Shutdown,
    /// A defect of the server.
    Internal,
}

impl FailureKind {
    /// The name in responses.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Infra => "infra",
            Self::Deadline => "deadline",
            Self::NotGradable => "not_gradable",
            Self::Shutdown => "shutdown",
            Self::Internal => "internal",
        }
    }

    /// The name in NeMo Gym's vocabulary, which has prefixed names for what it does not list.
    pub(super) fn nemo_name(self) -> &'static str {
        match self {
            Self::Infra => "provider_unavailable",
            Self::Deadline => "agent_reward:deadline",
            Self::NotGradable => "agent_reward:not_gradable",
            Self::Shutdown => "shutdown",
            Self::Internal => "verifier_error",
        }
    }
}
