//! The families of signals, one file each. A signal is a function from the evidence to hits.

pub(crate) mod definitions;
pub(crate) mod history;
pub(crate) mod imports;
pub(crate) mod lexical;
pub(crate) mod mentions;
pub(crate) mod past;
pub(crate) mod paths;
pub(crate) mod prior;

#[cfg(test)]
mod tests;
