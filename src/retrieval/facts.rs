//! What is kept of a parsed file besides its terms: its outline.

use serde::{Deserialize, Serialize};

use crate::source::{Definition, DefinitionKind, Import, Module, Variable};

/// The outline of a Python file. It depends on the file's bytes alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Classes and functions in order of their first line.
    pub definitions: Vec<Definition>,
    /// Module and class variables, in order.
    pub variables: Vec<Variable>,
    /// Imports, in order.
    pub imports: Vec<Import>,
}

impl From<Module> for Facts {
    fn from(module: Module) -> Self {
        let Module { definitions, variables, imports, .. } = module;
        Self { definitions, variables, imports }
    }
}

impl Facts {
    /// Bytes for the index.
    pub(crate) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain data of known length is always written")
    }

    /// None when the bytes are not what [`Facts::encode`] gives.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// The functions that are documents of their own, in order: methods and functions that lie in no
/// other function. What is nested belongs to the function around it.
pub(crate) fn functions(definitions: &[Definition]) -> impl Iterator<Item = &Definition> {
    definitions.iter().filter(|definition| {
        definition.kind != DefinitionKind::Class
            && definition
                .parent
                .is_none_or(|parent| definitions[parent].kind == DefinitionKind::Class)
    })
}
