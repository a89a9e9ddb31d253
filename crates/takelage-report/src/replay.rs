//! Reads a recorded log again.

use std::io::{self, BufRead};

use serde::Deserialize;
use takelage_model::event::{Event, SCHEMA};
use thiserror::Error;

/// A line of a log that cannot be read.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file cannot be read.
    #[error("cannot read line {line}")]
    Read {
        /// Counted from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// The line is not an event.
    #[error("line {line} is not an event")]
    Parse {
        /// Counted from 1.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
    /// The line was written by a newer takelage, and not in a way that this one can pass over.
    #[error("line {line} is of schema {schema}, and this takelage reads schema {SCHEMA}")]
    Newer {
        /// Counted from 1.
        line: u64,
        /// The schema that wrote it.
        schema: u32,
    },
}

/// Reads a log that [`JsonLines`](crate::JsonLines) wrote, line by line.
///
/// Kinds of event that a newer takelage added come as
/// [`Unknown`](takelage_model::event::EventKind::Unknown). A last line that was cut off, because its writer was
/// killed, ends the log; blank lines are passed over.
pub fn replay<R: BufRead>(lines: R) -> Replay<R> {
    Replay { lines, line: 0 }
}

/// The events of a log. See [`replay`].
#[derive(Debug)]
pub struct Replay<R> {
    lines: R,
    line: u64,
}

/// As much of an event as says who wrote it.
#[derive(Deserialize)]
struct Envelope {
    schema: u32,
}

impl<R: BufRead> Iterator for Replay<R> {
    type Item = Result<Event, ReplayError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line += 1;
            let line = self.line;
            let mut text = Vec::new();
            match self.lines.read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(source) => return Some(Err(ReplayError::Read { line, source })),
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            return match serde_json::from_slice(&text) {
                Ok(event) => Some(Ok(event)),
                Err(_) if !text.ends_with(b"\n") => None,
                Err(source) => Some(Err(match serde_json::from_slice(&text) {
                    Ok(Envelope { schema }) if schema > SCHEMA => ReplayError::Newer { line, schema },
                    _ => ReplayError::Parse { line, source },
                })),
            };
        }
    }
}
