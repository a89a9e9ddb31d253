//! The frames of the bridge: the unix socket over which Python (Ansible's connection and callback plugins,
//! testinfra's backend) asks takelage to act in a container.
//!
//! ```text
//! frame   = length header blob…
//! length  = 4 bytes, big endian: the header's length in bytes, at most HEADER_LIMIT
//! header  = JSON: one Request or one Reply
//! blob    = raw bytes; the header says how many there are and how long each is
//! ```
//!
//! One connection carries one request at a time: the client writes a request and reads its reply. Every forked
//! Ansible worker opens its own connection, because a stream shared across forks mixes frames.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The protocol's version, sent with [`Request::Hello`]. Both ends are of one build, so they must agree.
pub const VERSION: u32 = 1;

/// A header longer than this is not ours.
pub const HEADER_LIMIT: usize = 1 << 20;

/// What Python asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// The first frame of every connection.
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// Run a command. One blob: its standard input.
    Exec {
        /// The host's name in the inventory.
        host: String,
        /// Program and arguments.
        argv: Vec<String>,
        /// A user name or id; none is the container's own user.
        #[serde(default)]
        user: Option<String>,
        /// Length of the standard input in bytes.
        stdin: u64,
        /// An interpreter that may run the standard input, a Python program, in place of the command.
        #[serde(default)]
        zygote: Option<Zygote>,
        /// What it is for.
        #[serde(default)]
        task: Option<RequestTask>,
    },
    /// Write a file, replacing what is there. One blob: its content. The mode of a new file is 0666 less the umask.
    Put {
        /// The host's name in the inventory.
        host: String,
        /// Whose file it becomes, as for `Exec`.
        #[serde(default)]
        user: Option<String>,
        /// Absolute path in the container.
        path: String,
        /// Length of the content in bytes.
        length: u64,
        /// What it is for.
        #[serde(default)]
        task: Option<RequestTask>,
    },
    /// Read a file. Symbolic links are followed.
    Get {
        /// The host's name in the inventory.
        host: String,
        /// Absolute path in the container.
        path: String,
        /// What it is for.
        #[serde(default)]
        task: Option<RequestTask>,
    },
    /// Something happened that is worth an event. Answered with [`Reply::Done`].
    Event {
        /// What.
        event: serde_json::Value,
    },
    /// A request of a newer version.
    #[serde(other)]
    Unknown,
}

/// The task of a playbook that a request is for, and what must be known to remember the request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTask {
    /// Its id in this run.
    pub id: String,
    /// Its name; empty if it is a secret.
    pub name: String,
    /// `FILE:LINE`; the file is absolute.
    pub path: String,
    /// The module that runs; empty if there is none, or if it is a secret.
    #[serde(default)]
    pub module: String,
    /// The module's arguments and a digest, SHA-256 in hexadecimal, of the value of each.
    #[serde(default)]
    pub arguments: BTreeMap<String, String>,
    /// Why neither this request nor one after it may be remembered.
    #[serde(default)]
    pub ends: Option<String>,
    /// Names in this request, and in those that follow, that were drawn at random in this run.
    #[serde(default)]
    pub random: Vec<String>,
}

/// A warm interpreter for programs that a command would read from its standard input.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Zygote {
    /// The command that starts it: the one in whose place it is used, but for what its interpreter is told to do.
    pub argv: Vec<String>,
    /// What the program has in its environment beyond the interpreter's.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What the command writes to its standard output before the program begins.
    #[serde(default)]
    pub preface: String,
    /// Digests, SHA-256 in hexadecimal, of the sources that may be imported ahead for programs that bring them.
    #[serde(default)]
    pub own: Vec<String>,
}

/// What takelage answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The request was carried out and has nothing to return.
    Done,
    /// A command ended. Two blobs: standard output and standard error.
    Exit {
        /// Its exit status; 128 plus the number for a signal.
        status: i64,
        /// Lengths of standard output and standard error in bytes.
        lengths: [u64; 2],
    },
    /// A file's content. One blob.
    File {
        /// Its length in bytes.
        length: u64,
    },
    /// The request could not be carried out. This is not the command's own failure.
    Error {
        /// What kind of failure.
        kind: ErrorKind,
        /// One sentence.
        message: String,
    },
}

/// Why a request could not be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// No container goes by that host name.
    UnknownHost,
    /// The container is gone or stopped.
    Unreachable,
    /// No such file in the container.
    NoSuchFile,
    /// The run was interrupted.
    Cancelled,
    /// The request is malformed, too large or of another version.
    Protocol,
    /// Anything else that the engine reports.
    Engine,
}
