//! What happens in a run, as data. Producers emit, reporters draw; nobody else writes.
//!
//! The channel is unbounded on purpose: an instance emits tens to hundreds of events, and a stuck
//! terminal must not stall work that costs money.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::artifact::{InstanceId, InstanceOutcome, Outcome, Stage, Subject, TestKind, Usage};

/// An error and its causes in one line, as events tell them.
pub(crate) fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// One stamped event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// UTC time at which it was emitted.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// The instance it belongs to; absent for events of the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// Everything that can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run begins, or goes on in the same directory.
    RunStarted {
        /// Instances selected.
        instances: usize,
        /// Of these, instances that an earlier process finished.
        finished: usize,
        /// Of the finished ones, those with a chosen candidate.
        #[serde(default)]
        solved: usize,
    },
    /// Work on an instance begins.
    InstanceStarted,
    /// A stage begins.
    StageStarted {
        /// Which.
        stage: Stage,
    },
    /// A stage ended well.
    StageFinished {
        /// Which.
        stage: Stage,
        /// Wall time in seconds.
        seconds: f64,
        /// One line for people, such as `8 of 10 candidates valid, 3 classes`.
        summary: String,
        /// Whether the result of an earlier process was taken.
        reused: bool,
    },
    /// A request goes out to the model. Each of its samples ends in a `model_replied` or is counted
    /// by a `model_failed`, unless the process ends first.
    ModelAsked {
        /// Which kind of request: `localize`, `repair`, `reproduce`, `select-regression`.
        call: String,
        /// Samples asked for.
        samples: u32,
    },
    /// The model answered one sample.
    ModelReplied {
        /// Which kind of request: `localize`, `repair`, `reproduce`, `select-regression`.
        call: String,
        /// Index of the sample.
        sample: u32,
        /// Tokens spent.
        usage: Usage,
        /// Whether the answer came from the journal and cost nothing.
        journaled: bool,
        /// Seconds from request to answer.
        seconds: f64,
    },
    /// A request is repeated.
    ModelRetried {
        /// Which kind of request.
        call: String,
        /// Attempt that failed, from 1.
        attempt: u32,
        /// Seconds until the next attempt.
        wait: f64,
        /// What went wrong.
        reason: String,
    },
    /// A request gave no answer for some of its samples, and is not repeated as it was.
    ModelFailed {
        /// Which kind of request.
        call: String,
        /// Samples without an answer.
        samples: u32,
        /// What went wrong.
        reason: String,
    },
    /// The limit of requests under way has changed, since the server bears more or less.
    ModelPaced {
        /// Requests that may be under way from now on.
        limit: usize,
        /// Requests under way.
        under_way: usize,
        /// Requests that wait for their turn.
        waiting: usize,
        /// Why.
        reason: String,
    },
    /// A test ran.
    Executed {
        /// On what.
        candidate: Subject,
        /// The test's name.
        test: String,
        /// Its family.
        kind: TestKind,
        /// The result.
        outcome: Outcome,
        /// Wall time in seconds.
        seconds: f64,
    },
    /// Something that a person should know; the work goes on.
    Notice {
        /// One sentence.
        message: String,
    },
    /// The wanted stages of an instance are through, and the last of all is not among them.
    InstanceThrough {
        /// The last one wanted.
        stage: Stage,
        /// Wall time in seconds.
        seconds: f64,
    },
    /// An instance ended.
    InstanceFinished {
        /// How.
        outcome: InstanceOutcome,
        /// Wall time in seconds.
        seconds: f64,
    },
    /// The run ended.
    RunFinished {
        /// Instances with a chosen candidate.
        solved: usize,
        /// Instances that ran to the end without a usable candidate.
        no_candidate: usize,
        /// Instances that failed.
        failed: usize,
        /// Instances left for the next process.
        cancelled: usize,
    },
}

/// A handle to emit with: cheap to clone, never fails, never blocks.
#[derive(Debug, Clone)]
pub struct Events {
    sender: Option<mpsc::UnboundedSender<Event>>,
    instance: Option<InstanceId>,
}

impl Events {
    /// A handle and the receiving end. The receiver ends when all handles are dropped.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender: Some(sender), instance: None }, receiver)
    }

    /// A handle whose events go nowhere.
    #[must_use]
    pub fn discard() -> Self {
        Self { sender: None, instance: None }
    }

    /// A handle for one instance.
    #[must_use]
    pub fn of(&self, instance: &InstanceId) -> Self {
        Self { sender: self.sender.clone(), instance: Some(instance.clone()) }
    }

    /// Emits; an ended receiver is ignored.
    pub fn emit(&self, kind: EventKind) {
        if let Some(sender) = &self.sender {
            let event =
                Event { at: OffsetDateTime::now_utc(), instance: self.instance.clone(), kind };
            // The reporter may have ended first; an event without a reader is not an error.
            let _ = sender.send(event);
        }
    }

    /// Emits a [`EventKind::Notice`].
    pub fn notice(&self, message: impl Into<String>) {
        self.emit(EventKind::Notice { message: message.into() });
    }
}
