//! The shapes in which trainers ask and want to be answered.

mod batch;
mod native;
mod nemo;
mod openrlhf;
mod slime;
mod trl;
mod verl;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::serve::Kind;
use crate::serve::item::{Item, Outcome, Wrong};
use crate::serve::json;
use crate::serve::refusal::{Refusal, json_response};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Native,
    Verl,
    Trl,
    OpenRlhf,
    Slime,
    Nemo,
}

impl Shape {
    /// Each path with its shape. NeMo Gym knows hosts but no path before its own.
    pub(super) const PATHS: [(&str, Self); 7] = [
        ("/score", Self::Native),
        ("/verl", Self::Verl),
        ("/trl", Self::Trl),
        ("/openrlhf", Self::OpenRlhf),
        ("/slime", Self::Slime),
        ("/nemo/verify", Self::Nemo),
        ("/verify", Self::Nemo),
    ];

    /// The name in metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Native => "score",
            Self::Verl => "verl",
            Self::Trl => "trl",
            Self::OpenRlhf => "openrlhf",
            Self::Slime => "slime",
            Self::Nemo => "nemo",
        }
    }

    /// An outcome for which there is no place in the answer.
    pub(super) fn refuse(self, outcome: &Outcome) -> Refusal {
        match outcome {
            Outcome::Masked(failure) => {
                Refusal::masked(failure.kind.name(), failure.reason.clone())
            }
            Outcome::Wrong(wrong) => Refusal::wrong(wrong.clone()),
            _ => Refusal::masked("internal", "no answer"),
        }
    }
}

/// A request that was understood: what to score, and how to answer.
pub(super) struct Call {
    pub(super) frame: Frame,
    /// In the request's order. What could not be read is answered, if others can be.
    pub(super) items: Vec<Result<Item, Wrong>>,
}

/// What of a request goes into its answer.
pub(super) enum Frame {
    Native(native::Frame),
    Verl(verl::Frame),
    Trl,
    OpenRlhf,
    Slime,
    Nemo(Box<Value>),
}

impl Call {
    /// Reads a body.
    pub(super) fn read(shape: Shape, bytes: &[u8], kind: Kind) -> Result<Self, Refusal> {
        let raw: &RawValue = json::document(bytes)?;
        let call = match shape {
            Shape::Native => native::read(raw, kind),
            Shape::Verl => verl::read(raw, kind),
            Shape::Trl => trl::read(raw, kind),
            Shape::OpenRlhf => openrlhf::read(raw, kind),
            Shape::Slime => slime::read(raw, kind),
            Shape::Nemo => nemo::read(raw, kind),
        };
        call.map_err(Refusal::wrong)
    }

    /// The frame, the items, and what could not be read with its place.
    pub(super) fn split(self) -> (Frame, Vec<Item>, Vec<(usize, Wrong)>) {
        let mut items = Vec::with_capacity(self.items.len());
        let mut wrong = Vec::new();
        for (index, item) in self.items.into_iter().enumerate() {
            match item {
                Ok(item) => items.push(item),
                Err(error) => wrong.push((index, error)),
            }
        }
        (self.frame, items, wrong)
    }
}

impl Frame {
    /// The answer, with one outcome for each item of the request.
    pub(super) fn answer(self, outcomes: Vec<Outcome>) -> Result<Response, Refusal> {
        let (status, body) = match self {
            Self::Native(frame) => native::answer(frame, outcomes),
            Self::Verl(frame) => (StatusCode::OK, verl::answer(frame, &outcomes)?),
            Self::Trl => (StatusCode::OK, trl::answer(&outcomes)?),
            Self::OpenRlhf => (StatusCode::OK, openrlhf::answer(&outcomes)?),
            Self::Slime => (StatusCode::OK, slime::answer(&outcomes)?),
            Self::Nemo(row) => (StatusCode::OK, nemo::answer(*row, &outcomes)?),
        };
        Ok(json_response(status, &body))
    }
}
