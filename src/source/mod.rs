//! What is in a Python file: outlines, symbols, spans. Pure; works on any text, however broken.

mod outline;
mod text;
mod walk;

pub use outline::{Definition, DefinitionKind, Import, Module, Parsed, Variable, parse};
pub use text::decode;
