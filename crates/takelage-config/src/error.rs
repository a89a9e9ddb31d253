//! What can be wrong with a project file.

use std::{
    fmt::{self, Write as _},
    path::PathBuf,
    sync::Arc,
};

use thiserror::Error;

use crate::Position;

/// No project could be made of what is there.
#[derive(Debug, Clone, Error)]
pub enum ConfigError {
    /// There is no project file.
    #[error("no `takelage.yml` in `{start}` or any directory above it")]
    NotFound {
        /// The directory where the search began.
        start: PathBuf,
    },
    /// The file has the right name, but holds the settings of the Ruby takelage.
    #[error("`{file}` holds settings of the Ruby takelage, not a project")]
    Settings {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read `{file}`")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// The file's content is wrong. All problems that were found, in the order of the file, at least one.
    #[error("{}", listing(problems))]
    Problems {
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong in a project file. Displayed as `FILE:LINE:COLUMN: message`, without the hint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Error)]
#[error("{}:{line}:{column}: {message}", file.display())]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong: one sentence without a final period.
    pub message: String,
    /// What to do, in the imperative.
    pub hint: Option<String>,
}

impl Problem {
    /// Returns where the problem is.
    pub fn position(&self) -> Position {
        Position { line: self.line, column: self.column }
    }
}

/// A problem whose file is not yet known: what the stages pass around.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Position,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Fault {
    pub(crate) fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn into_problem(self, file: PathBuf) -> Problem {
        Problem { file, line: self.at.line, column: self.at.column, message: self.message, hint: self.hint }
    }
}

/// One problem per line, hints indented below.
fn listing(problems: &[Problem]) -> impl fmt::Display {
    let mut text = String::new();
    for problem in problems {
        let separator = if text.is_empty() { "" } else { "\n" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{separator}{problem}");
        if let Some(hint) = &problem.hint {
            let _ = write!(text, "\n  {hint}");
        }
    }
    text
}
