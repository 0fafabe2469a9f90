//! What is in a Python file: outlines, symbols, spans. Pure; works on any text, however broken.

mod blocks;
mod imports;
mod outline;
mod text;
mod walk;

pub use blocks::{Block, BlockKind, blocks};
pub use imports::imports;
pub use outline::{Definition, DefinitionKind, Import, Module, Parsed, Variable, parse};
pub use text::decode;
