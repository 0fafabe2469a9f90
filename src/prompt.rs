//! What the model is asked: templates from `prompts/`, compiled in, overridable by a directory.
//!
//! A template is plain text with `{{name}}` placeholders. Every placeholder that a prompt defines
//! must occur and no other may: an RL-trained model that silently misses half of its training
//! prompt gives wrong numbers, not an error. `prompts/README.md` documents the placeholders.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::artifact::Message;

/// Which prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PromptName {
    /// Issue and tree to file paths.
    LocalizeFiles,
    /// Issue and outlines to classes, functions and lines.
    LocalizePlaces,
    /// Issue and files to SEARCH/REPLACE edits.
    RepairEdit,
    /// Issue and files to a reproduction script.
    ReproduceScript,
    /// Issue and names of passing tests to those that a right fix may break.
    SelectRegression,
    /// The optional system message that asks for `<think>` and `<solution>`.
    SystemThink,
}

struct Definition {
    name: PromptName,
    file: &'static str,
    builtin: &'static str,
    placeholders: &'static [&'static str],
}

const DEFINITIONS: &[Definition] = &[
    Definition {
        name: PromptName::LocalizeFiles,
        file: "localize/files.md",
        builtin: include_str!("../prompts/localize/files.md"),
        placeholders: &["issue", "tree", "count"],
    },
    Definition {
        name: PromptName::LocalizePlaces,
        file: "localize/places.md",
        builtin: include_str!("../prompts/localize/places.md"),
        placeholders: &["issue", "files"],
    },
    Definition {
        name: PromptName::RepairEdit,
        file: "repair/edit.md",
        builtin: include_str!("../prompts/repair/edit.md"),
        placeholders: &["issue", "files"],
    },
    Definition {
        name: PromptName::ReproduceScript,
        file: "reproduce/script.md",
        builtin: include_str!("../prompts/reproduce/script.md"),
        placeholders: &["issue", "files"],
    },
    Definition {
        name: PromptName::SelectRegression,
        file: "execute/select-regression.md",
        builtin: include_str!("../prompts/execute/select-regression.md"),
        placeholders: &["issue", "tests"],
    },
    Definition {
        name: PromptName::SystemThink,
        file: "system/think.md",
        builtin: include_str!("../prompts/system/think.md"),
        placeholders: &[],
    },
];

/// Why a prompt cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// A file of the override directory cannot be read.
    #[error("cannot read the prompt {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The override directory holds a file that is no prompt.
    #[error("{path} is not a prompt; known are {known}")]
    UnknownFile {
        /// The file, relative to the directory.
        path: String,
        /// The names that exist.
        known: String,
    },
    /// A placeholder that the prompt does not define.
    #[error("{origin}:{line}: unknown placeholder {{{{{placeholder}}}}}; this prompt has {known}")]
    UnknownPlaceholder {
        /// File, or `built-in NAME`.
        origin: String,
        /// Line, from 1.
        line: usize,
        /// The name between the braces.
        placeholder: String,
        /// The names that exist.
        known: String,
    },
    /// A placeholder of the prompt that the template does not use.
    #[error("{origin}: the placeholder {{{{{placeholder}}}}} does not occur")]
    MissingPlaceholder {
        /// File, or `built-in NAME`.
        origin: String,
        /// The missing name.
        placeholder: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Placeholder(&'static str),
}

/// A checked set of templates.
#[derive(Debug, Clone)]
pub struct Prompts {
    templates: BTreeMap<PromptName, Vec<Piece>>,
    digests: BTreeMap<String, String>,
    think: bool,
}

impl Prompts {
    /// The built-in prompts, overridden file by file from `overrides`; with `think`, every
    /// conversation begins with the think/solution system message.
    ///
    /// # Errors
    /// [`PromptError`] names file, line and placeholder.
    pub fn load(overrides: Option<&Path>, think: bool) -> Result<Self, PromptError> {
        if let Some(directory) = overrides {
            refuse_unknown_files(directory, directory)?;
        }
        let mut templates = BTreeMap::new();
        let mut digests = BTreeMap::new();
        for definition in DEFINITIONS {
            let (text, origin) = match overrides.map(|dir| dir.join(definition.file)) {
                Some(path) if path.exists() => (
                    std::fs::read_to_string(&path)
                        .map_err(|source| PromptError::Read { path: path.clone(), source })?,
                    path.display().to_string(),
                ),
                _ => (definition.builtin.to_owned(), format!("built-in {}", definition.file)),
            };
            templates.insert(definition.name, parse(&text, &origin, definition.placeholders)?);
            digests.insert(definition.file.to_owned(), hex(&Sha256::digest(text.as_bytes())));
        }
        Ok(Self { templates, digests, think })
    }

    /// The conversation for one prompt. `values` holds exactly the prompt's placeholders.
    ///
    /// # Panics
    /// When a value is missing: the callers' lists are constants of this crate, and
    /// [`Prompts::load`] has checked the templates against them.
    #[must_use]
    pub fn render(&self, name: PromptName, values: &[(&str, &str)]) -> Vec<Message> {
        let text = self.templates[&name]
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Placeholder(key) => {
                    values
                        .iter()
                        .find(|(name, _)| name == key)
                        .expect("callers pass every placeholder of the prompt")
                        .1
                }
            })
            .collect::<String>();
        let mut messages = Vec::new();
        if self.think {
            let system = self.templates[&PromptName::SystemThink]
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.as_str(),
                    Piece::Placeholder(_) => "",
                })
                .collect();
            messages.push(Message { role: "system".into(), content: system });
        }
        messages.push(Message { role: "user".into(), content: text });
        messages
    }

    /// SHA-256 of each template's text by file name, and whether the system message is sent.
    #[must_use]
    pub fn digests(&self) -> &BTreeMap<String, String> {
        &self.digests
    }

    /// Whether conversations begin with the think/solution system message.
    #[must_use]
    pub fn thinks(&self) -> bool {
        self.think
    }
}

fn refuse_unknown_files(root: &Path, directory: &Path) -> Result<(), PromptError> {
    let read = |source| PromptError::Read { path: directory.to_owned(), source };
    for entry in std::fs::read_dir(directory).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if path.is_dir() {
            refuse_unknown_files(root, &path)?;
            continue;
        }
        let relative = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let known = DEFINITIONS.iter().any(|definition| definition.file == relative);
        if !known && relative != "README.md" {
            let known = DEFINITIONS.iter().map(|d| d.file).collect::<Vec<_>>().join(", ");
            return Err(PromptError::UnknownFile { path: relative, known });
        }
    }
    Ok(())
}

fn parse(
    text: &str,
    origin: &str,
    placeholders: &'static [&'static str],
) -> Result<Vec<Piece>, PromptError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(start) = rest.find("{{") {
        let Some(length) = rest[start + 2..].find("}}") else { break };
        let name = rest[start + 2..start + 2 + length].trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            // Braces of the text itself, such as a dict of dicts in an example.
            let (plain, tail) = rest.split_at(start + 2);
            line += plain.matches('\n').count();
            pieces.push(Piece::Text(plain.to_owned()));
            rest = tail;
            continue;
        }
        line += rest[..start].matches('\n').count();
        let Some(known) = placeholders.iter().find(|known| **known == name) else {
            return Err(PromptError::UnknownPlaceholder {
                origin: origin.to_owned(),
                line,
                placeholder: name.to_owned(),
                known: if placeholders.is_empty() {
                    "none".into()
                } else {
                    placeholders
                        .iter()
                        .map(|p| format!("{{{{{p}}}}}"))
                        .collect::<Vec<_>>()
                        .join(", ")
                },
            });
        };
        pieces.push(Piece::Text(rest[..start].to_owned()));
        pieces.push(Piece::Placeholder(known));
        rest = &rest[start + 2 + length + 2..];
    }
    pieces.push(Piece::Text(rest.trim_end().to_owned()));
    for placeholder in placeholders {
        if !pieces.contains(&Piece::Placeholder(placeholder)) {
            return Err(PromptError::MissingPlaceholder {
                origin: origin.to_owned(),
                placeholder: (*placeholder).to_owned(),
            });
        }
    }
    Ok(pieces)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_prompts_hold_their_placeholders_and_values_are_never_rendered_again() {
        let prompts = Prompts::load(None, false).unwrap();
        let messages = prompts.render(
            PromptName::RepairEdit,
            &[("issue", "crash on {{files}}"), ("files", "### a.py\nx = {{}}\n")],
        );
        assert_eq!(messages.len(), 1);
        assert!(messages[0].content.contains("crash on {{files}}"));
        assert!(messages[0].content.contains("x = {{}}"));
        assert!(!messages[0].content.ends_with('\n'));
    }

    #[test]
    fn think_puts_a_system_message_first() {
        let prompts = Prompts::load(None, true).unwrap();
        let messages =
            prompts.render(PromptName::RepairEdit, &[("issue", "i"), ("files", "### a.py")]);
        assert_eq!(messages[0].role, "system");
        assert!(messages[0].content.contains("<solution>"));
        assert_eq!(messages[1].role, "user");
    }

    #[test]
    fn overrides_replace_one_file_and_keep_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("repair")).unwrap();
        std::fs::write(dir.path().join("repair/edit.md"), "{{ files }} then {{issue}}\n").unwrap();
        let prompts = Prompts::load(Some(dir.path()), false).unwrap();
        let values = [("issue", "I"), ("files", "F")];
        assert_eq!(prompts.render(PromptName::RepairEdit, &values)[0].content, "F then I");
        let builtin = Prompts::load(None, false).unwrap();
        assert_eq!(
            prompts.render(PromptName::ReproduceScript, &values),
            builtin.render(PromptName::ReproduceScript, &values)
        );
        assert_ne!(prompts.digests()["repair/edit.md"], builtin.digests()["repair/edit.md"]);
    }

    #[test]
    fn a_bad_override_is_refused_with_file_and_line() {
        let check = |file: &str, text: &str| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("repair")).unwrap();
            std::fs::write(dir.path().join(file), text).unwrap();
            Prompts::load(Some(dir.path()), false).unwrap_err().to_string()
        };
        let unknown = check("repair/edit.md", "{{issue}}\n{{files}}\n{{hints}}");
        assert!(unknown.contains("edit.md:3: unknown placeholder {{hints}}"), "{unknown}");
        let missing = check("repair/edit.md", "{{issue}}");
        assert!(missing.contains("{{files}} does not occur"), "{missing}");
        let stray = check("repair/edits.md", "{{issue}}");
        assert!(stray.contains("repair/edits.md is not a prompt"), "{stray}");
    }
}
