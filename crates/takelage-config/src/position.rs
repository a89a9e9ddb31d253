//! Places in the project file as written.

use std::{collections::HashMap, fmt};

/// A place in the project file as written, before interpolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// Where a file begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is known of one value beside the value itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    /// Where its key is; none for items of lists and for the whole document.
    pub(crate) key: Option<Position>,
    /// Where it is.
    pub(crate) value: Position,
    /// A scalar as it is written, without quotes: `1.10` where the value is the number 1.1.
    pub(crate) text: Option<String>,
}

/// The marks of all values of a document, by JSON pointer (RFC 6901).
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Marks(HashMap<String, Mark>);

impl Marks {
    pub(crate) fn insert(&mut self, pointer: String, mark: Mark) {
        self.0.insert(pointer, mark);
    }

    pub(crate) fn into_entries(self) -> impl Iterator<Item = (String, Mark)> {
        self.0.into_iter()
    }

    pub(crate) fn get(&self, pointer: &str) -> Option<&Mark> {
        self.0.get(pointer)
    }

    /// Whether the file says anything there, right or wrong.
    pub(crate) fn has(&self, pointer: &str) -> bool {
        self.0.contains_key(pointer)
    }

    /// Returns the value's position, or that of the nearest value around it.
    pub(crate) fn value(&self, pointer: &str) -> Position {
        self.nearest(pointer).map_or(Position::START, |mark| mark.value)
    }

    /// Returns the position of the value's key, or of the value where it has none.
    pub(crate) fn key(&self, pointer: &str) -> Position {
        self.nearest(pointer).map_or(Position::START, |mark| mark.key.unwrap_or(mark.value))
    }

    fn nearest(&self, mut pointer: &str) -> Option<&Mark> {
        loop {
            if let Some(mark) = self.0.get(pointer) {
                return Some(mark);
            }
            pointer = &pointer[..pointer.rfind('/')?];
        }
    }
}

/// Appends one step to a JSON pointer.
pub(crate) fn join(pointer: &str, step: &str) -> String {
    format!("{pointer}/{}", step.replace('~', "~0").replace('/', "~1"))
}

/// Returns the last step of a JSON pointer as the key it stands for.
pub(crate) fn last(pointer: &str) -> Option<String> {
    pointer.rsplit_once('/').map(|(_, step)| step.replace("~1", "/").replace("~0", "~"))
}
