//! SWE-RL's reward: how alike is a predicted change to the true one, from −1 to 1.
//!
//! [`score`] takes one [`Case`] and returns one [`Score`]; [`search_replace_reward`],
//! [`content_reward`] and [`unidiff_reward`] are its three kinds as functions of their own, and
//! [`score_lines`] reads and writes JSON lines. Values equal the published definition to the last
//! bits of a float; `Options::safe` mends that definition's known holes and says so in
//! [`Score::flags`].
//!
//! The definition: each file's change is the text of its unified diff (three lines of context,
//! without file headers) between the context and the new contents; two changes of one path are
//! alike by Python's `difflib.SequenceMatcher(None, predicted, true, autojunk=False).ratio()` on
//! code points; a path that only one side changes counts 0; the reward is the mean over all
//! changed paths, 1 if there is none. An answer that breaks the format or does not apply gets −1.

mod answer;
mod automaton;
mod blocks;
mod case;
mod grams;
mod lines;
mod options;
mod score;
mod stream;
mod text;
mod unidiff;

#[cfg(test)]
mod tests;

pub use answer::{AnswerError, FormatError, strict_contents};
pub use blocks::similarity;
pub use case::{Case, CaseError, Files, Id, Input};
pub use options::{Options, Refusal};
pub use score::{
    Flag, Score, Similarity, content_reward, score, search_replace_reward, unidiff_reward,
};
pub use stream::{Summary, score_line, score_lines};
pub use text::Text;
