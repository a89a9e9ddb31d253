//! Commands inside a container.

use bytes::Bytes;
use indexmap::IndexMap;
use tokio::sync::{mpsc, watch};

/// A command to run in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecSpec {
    /// Program and arguments; the program is looked up in the container's `PATH`.
    pub argv: Vec<String>,
    /// User name or id, with `:GROUP` if wanted; the container's own user if none.
    pub user: Option<String>,
    /// Environment in addition to the container's.
    pub env: IndexMap<String, String>,
    /// Working directory; the container's own if none.
    pub workdir: Option<String>,
    /// All of its standard input. None: it reads the end of file at once.
    pub stdin: Option<Bytes>,
}

impl ExecSpec {
    /// A command as the container's root user, with nothing on its standard input.
    pub fn root<const N: usize>(argv: [&str; N]) -> Self {
        Self { argv: argv.map(str::to_owned).to_vec(), user: Some("0:0".to_owned()), ..Self::default() }
    }
}

/// The far end of a command's terminal.
#[derive(Debug)]
pub struct Interaction {
    /// What is typed.
    pub input: mpsc::Receiver<Bytes>,
    /// What appears.
    pub output: mpsc::Sender<Bytes>,
    /// How large the terminal is: columns and rows.
    pub size: watch::Receiver<(u16, u16)>,
}

/// Which of its two output streams a command wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A piece of a command's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it was written to.
    pub stream: Stream,
    /// What was written.
    pub bytes: Bytes,
}

/// All that a command wrote, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit status; 128 plus the number for a signal, 126 or 127 if it could not be started.
    pub status: i64,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl ExecOutput {
    /// Adds a piece of output to its stream.
    pub fn append(&mut self, chunk: &Chunk) {
        match chunk.stream {
            Stream::Stdout => self.stdout.extend_from_slice(&chunk.bytes),
            Stream::Stderr => self.stderr.extend_from_slice(&chunk.bytes),
        }
    }

    /// Whether it ended with status 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }
}
