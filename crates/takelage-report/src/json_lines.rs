//! The recorded log: one event per line, as JSON.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use takelage_model::event::{Event, EventKind};

/// Writes every event as one line of JSON, for `--events FILE`. [`replay`](crate::replay()) reads it back.
///
/// Facts reach the file at once, so that the log of a run that was killed is complete up to that moment.
pub struct JsonLines {
    out: BufWriter<Box<dyn Write + Send>>,
}

impl JsonLines {
    /// Creates the file at `path`, or empties it.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::new(Box::new(fs_err::File::create(path)?)))
    }

    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out: BufWriter::new(out) }
    }

    /// Writes one event.
    pub fn handle(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        if matches!(event.kind, EventKind::Progress { .. }) { Ok(()) } else { self.out.flush() }
    }

    /// Writes what may still be held back.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl fmt::Debug for JsonLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines").finish_non_exhaustive()
    }
}
