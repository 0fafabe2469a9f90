//! Errors as people see them: kind, causes, hints, and the exit code.

use std::error::Error;
use std::fmt::Write as _;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::dataset::DatasetError;
use crate::images::ImageError;
use crate::llm::ModelError;
use crate::prompt::PromptError;
use crate::repo::RepoError;
use crate::sandbox::SandboxError;
use crate::store::StoreError;

/// Which of the documented exit codes an error has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Done, but not everything has a patch.
    Incomplete,
    /// Usage or settings.
    Usage,
    /// Endpoint, containers, disk.
    Environment,
    /// Nothing selected.
    Nothing,
    /// Stopped by the user.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Incomplete => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::Nothing => 4,
            Self::Interrupted => 130,
        })
    }
}

/// An error on its way to the user.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) kind: Kind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    hints: Vec<String>,
}

impl CliError {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None, hints: Vec::new() }
    }

    pub(crate) fn from_error(kind: Kind, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        Self { kind, message: error.to_string(), source: Some(error), hints: Vec::new() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn hint_unless_empty(self, hint: &str) -> Self {
        if hint.is_empty() { self } else { self.hint(hint) }
    }

    /// `error:`, `caused by:` for each cause, `hint:` for each hint; with a line end each.
    pub(crate) fn render(&self, color: bool) -> String {
        let paint = |code: &str, word: &str| {
            if color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
        };
        let mut text = format!("{} {}\n", paint("1;31", "error:"), self.message);
        let mut cause = self.source.as_deref().and_then(Error::source);
        while let Some(error) = cause {
            let _ = writeln!(text, "  {} {error}", paint("31", "caused by:"));
            cause = error.source();
        }
        for hint in &self.hints {
            let _ = writeln!(text, "{} {hint}", paint("36", "hint:"));
        }
        text
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::from_error(Kind::Usage, error)
            .hint("`agent solve --show-config` lists every setting; so does the file src/config/default.toml")
    }
}

impl From<PromptError> for CliError {
    fn from(error: PromptError) -> Self {
        Self::from_error(Kind::Usage, error)
            .hint("prompts/README.md lists each prompt's placeholders")
    }
}

impl From<DatasetError> for CliError {
    fn from(error: DatasetError) -> Self {
        let hint = error.hint();
        let kind = if error.is_environment() { Kind::Environment } else { Kind::Usage };
        let made = Self::from_error(kind, error);
        match hint {
            Some(hint) => made.hint(hint),
            None => made,
        }
    }
}

impl From<RepoError> for CliError {
    fn from(error: RepoError) -> Self {
        Self::from_error(Kind::Environment, error)
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        Self::from_error(Kind::Environment, error)
    }
}

impl From<SandboxError> for CliError {
    fn from(error: SandboxError) -> Self {
        let hint = error.hint();
        Self::from_error(Kind::Environment, error).hint_unless_empty(hint)
    }
}

impl From<ImageError> for CliError {
    fn from(error: ImageError) -> Self {
        Self::from_error(Kind::Environment, error)
    }
}

impl From<ModelError> for CliError {
    fn from(error: ModelError) -> Self {
        let hint = error.hint();
        Self::from_error(Kind::Environment, error).hint_unless_empty(hint)
    }
}

/// A reader of standard output that went away is no error: `agent … | head` must be silent.
pub(crate) fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_and_hints_stand_on_lines_of_their_own() {
        let inner = std::io::Error::other("disk full");
        let error = StoreError::Io { action: "write", path: "a.json".into(), source: inner };
        let shown = CliError::from(error).hint("make room").render(false);
        assert_eq!(shown, "error: cannot write a.json\n  caused by: disk full\nhint: make room\n");
    }
}
