//! What is in a Python file: outlines, symbols, spans. Pure; works on any text, however broken.

mod blocks;
mod outline;
mod text;
mod walk;

pub use blocks::{Block, BlockKind, blocks};
pub use outline::{Definition, DefinitionKind, Import, Module, Parsed, Variable, parse};
pub use text::decode;
