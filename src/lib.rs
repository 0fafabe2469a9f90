//! `agent` turns a repository and an issue text into a tested patch, without an agent loop.
//!
//! ```text
//!             ┌──────────┐   ┌────────┐ Vec<Candidate> ┌─────────┐            ┌────────┐
//! Instance ──►│ localize │──►│ repair │───────────────►│         │ Executions │        │ Ranking ──► Prediction
//!             └────┬─────┘   └────────┘                │ execute │───────────►│ rerank │
//!                  └────────►┌───────────┐ Vec<Repro…> │         │            └────────┘
//!                            │ reproduce │────────────►└─────────┘
//!                            └───────────┘
//! ```
//!
//! # Reading path
//! `README.md` → this page → [`artifact`] (the nouns) → [`pipeline`] (the story) → any stage.
//!
//! # Map, bottom first
//! `tests/it/architecture.rs` holds the table of who may import whom and fails when it is broken.
//!
//! | module | question it answers |
//! |---|---|
//! | [`artifact`] | what do stages hand to one another? |
//! | [`event`] | what happened? |
//! | [`scratch`] | which temporary files are there, should this process be killed? |
//! | [`queue`] | who goes next where a limit is reached? |
//! | [`budget`] | how much may a run spend, and until when? |
//! | [`reward`] | how alike are a predicted and the true change? (SWE-RL's reward) |
//! | [`patch`] | how does an answer become a diff, and when are two diffs the same change? |
//! | [`source`] | what is in a Python file? |
//! | [`testlog`] | which tests passed, says this log? |
//! | [`context`] | which files, and which lines of them, is the model shown within a token budget? |
//! | [`prompt`] | what is the model asked? |
//! | [`retrieval`] | which files look like this issue, without a model? |
//! | [`llm`] | how is the model reached, and what did it answer before? |
//! | [`sandbox`] | where does untrusted code run? |
//! | [`repo`] | what was in the repository at the base commit? |
//! | [`index`] | what is known of a repository's files and commits, kept between runs? |
//! | [`embed`] | which files mean what the issue says, by an embeddings server? |
//! | [`dataset`] | which instances are there? (gold data lives here and nowhere else) |
//! | [`store`] | what is already done, and where does it lie? |
//! | [`report`] | how do people and machines see events? |
//! | [`tools`] | which part of the outside may a stage touch? |
//! | [`base`] | how does an applier of edits see a checkout? |
//! | [`harness`] | how is one subject tested in one session? |
//! | [`stage`] | the five verbs |
//! | [`pipeline`] | in which order do the verbs run, and what is saved? |
//! | [`compare`] | where do two runs part? |
//! | [`merge`] | how do several run directories become one? |
//! | [`evaluate`] | is a prediction right, by the benchmark's own tests? |
//! | [`submission`] | what does the leaderboard want of a run, and is it all there? |
//! | [`serve`] | how do trainers get rewards over HTTP? |
//! | [`images`] | how is an image made from a tree, in SWE-bench's contract? |
//! | [`batch`] | how do many instances run side by side? |
//! | [`config`] | which value does a setting have, and who said so? |
//! | [`cli`] | the commands |
//!
//! # Invariants
//! 1. **No stage can see gold data.** [`artifact::Instance`] has no field for it; gold types live in
//!    [`dataset`], which neither [`stage`] nor [`pipeline`] nor [`batch`] may import. [`repo`] exposes
//!    only the tree of the base commit and its ancestors.
//! 2. **No stage knows where results are stored or shown.** Stages return artifacts; [`pipeline`]
//!    saves them; [`report`] draws events.
//! 3. **Data flows one way.** A stage's signature is the arrow: it borrows what comes before and
//!    returns its own.
//! 4. **Only [`report`] and [`cli`] write to the terminal**; standard output carries results,
//!    standard error everything else.
//! 5. **Only artifacts, events and the resolved configuration are written in formats of our own.**
//!    What [`index`] keeps of a history is the exception: it may be deleted at any time.

pub mod artifact;
pub mod budget;
pub mod event;
pub mod queue;
pub mod scratch;

pub mod context;
pub mod patch;
pub mod prompt;
pub mod retrieval;
pub mod reward;
pub mod source;
pub mod testlog;

pub mod dataset;
pub mod embed;
pub mod index;
pub mod llm;
pub mod repo;
pub mod report;
pub mod sandbox;
pub mod store;

pub mod base;
pub mod harness;
pub mod tools;

pub mod stage;

pub mod evaluate;
pub mod pipeline;

pub mod compare;
pub mod merge;

pub mod batch;
pub mod images;
pub mod serve;
pub mod submission;

pub mod config;

pub mod cli;
