//! What is in a Python file: outlines, symbols, spans. Pure; works on any text, however broken.

mod imports;
mod outline;
mod text;
mod walk;

pub use imports::imports;
pub use outline::{Definition, DefinitionKind, Import, Module, Parsed, Variable, parse};
pub use text::decode;
