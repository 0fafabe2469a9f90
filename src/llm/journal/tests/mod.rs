//! Journals in real files, with a real server behind them.

mod recording;
mod replay;
