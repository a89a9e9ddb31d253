//! What takelage and its agent say to each other. The agent is the static program that takelage starts inside a
//! container, to run commands and to move files there; see the crate `takelage-agent`.
//!
//! [`wire`] draws the frames. One stream carries any number of requests at once, told apart by the id that the
//! host chooses:
//!
//! ```text
//! host                                   agent
//! 0 Hello{version}              ─►
//!                               ◄─       0 Hello{version}
//! 7 Exec{argv, stdin, …}        ─►
//! 7 Data, Data, …, End          ─►                            standard input
//!                               ◄─       7 Data{stream}, …    standard output and error
//!                               ◄─       7 Exit{status}       the last frame of request 7
//! ```
//!
//! `Put` and `Get` are the same with a file instead of a command, and end with `Done`. Instead of `Exit` or `Done`
//! every request can end with `Error`. What comes for an id that has ended is ignored: it was under way.
//!
//! **Back pressure** is per request and direction: as much as [`WINDOW`] bytes may be under way unasked, and
//! whatever the receiver has handed on is granted anew with `Credit`. So who reads slowly slows down one request, and
//! neither side keeps more than a window of it.

pub mod wire;

use serde::{Deserialize, Serialize};

/// The protocol's version. Both ends are of one build, unless a container outlives the takelage that made it.
pub const VERSION: u32 = 1;

/// How many bytes of a request may be under way in one direction without credit.
pub const WINDOW: u32 = 1 << 20;

/// The most that one `Data` frame has in its body when one of us writes it.
pub const PIECE: usize = 1 << 17;

/// What the host asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// The first frame of every stream.
    Hello {
        /// [`VERSION`].
        version: u32,
    },
    /// Run a command.
    Exec(Command),
    /// Write the file `path` with what comes as `Data` up to `End`. What is there keeps its mode and owner, and links
    /// are followed, as `cat >` does it.
    Put {
        /// Absolute path.
        path: String,
        /// Who writes, and whose file it becomes, as in [`Command::user`].
        #[serde(default)]
        user: Option<String>,
        /// The mode that the file gets; none leaves it to the umask 0022.
        #[serde(default)]
        mode: Option<u32>,
    },
    /// Read the file `path`. Links are followed.
    Get {
        /// Absolute path.
        path: String,
        /// Who reads, as in [`Command::user`].
        #[serde(default)]
        user: Option<String>,
    },
    /// Standard input or content, in the body.
    Data,
    /// There is no more `Data`. On a terminal this is what Ctrl-D types.
    End,
    /// The host has handed on so many bytes of `Data`.
    Credit {
        /// How many.
        bytes: u32,
    },
    /// The terminal of a command has another size.
    Resize {
        /// Which.
        size: Size,
    },
    /// Send a signal to the container's main command. Answered with `Done`.
    Signal {
        /// The signal's number.
        number: i32,
    },
    /// Kill what this request started, with everything in its session.
    Cancel,
    /// A request of a newer version.
    #[serde(other)]
    Unknown,
}

/// What the agent answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// The answer to `Hello`.
    Hello {
        /// The agent's [`VERSION`].
        version: u32,
    },
    /// Output or content, in the body.
    Data {
        /// Which of both.
        stream: Stream,
    },
    /// The agent has handed on so many bytes of `Data`.
    Credit {
        /// How many.
        bytes: u32,
    },
    /// A command ended, and all its output was sent. The last frame of its request.
    Exit {
        /// Its exit status; 128 plus the number for a signal, 126 or 127 if it could not be started.
        status: i32,
    },
    /// It is done. The last frame of its request.
    Done,
    /// It cannot be done. The last frame of its request.
    Error {
        /// What kind of failure.
        kind: ErrorKind,
        /// One sentence.
        message: String,
    },
    /// A reply of a newer version.
    #[serde(other)]
    Unknown,
}

/// Which output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output, everything on a terminal, or a file's content.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Why a request cannot be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The other end speaks another version of the protocol.
    Version,
    /// The frame is malformed, unknown or not in order.
    Protocol,
    /// The container has no such user or group.
    NoSuchUser,
    /// There is no such file.
    NoSuchFile,
    /// It is a directory.
    IsDirectory,
    /// The sandbox could not be applied, so nothing was run.
    Sandbox,
    /// It was cancelled.
    Cancelled,
    /// The system refuses.
    System,
    /// A kind of a newer version.
    #[serde(other)]
    Unknown,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A command, and how to start it.
///
/// It gets a session of its own, the umask 0022, and nothing of the agent's: neither environment nor descriptors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments. Without a slash the program is looked up in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The whole environment. `HOME` is added from the container's users if it is missing, `TERM` on a terminal.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Working directory; the root if none.
    #[serde(default)]
    pub cwd: Option<String>,
    /// User name or id, with `:GROUP` if wanted, resolved by the container's own files; root if none. A user without a
    /// group has all the groups that it is a member of.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether standard input comes as `Data`. Otherwise it is at its end.
    #[serde(default)]
    pub stdin: bool,
    /// A terminal of this size instead of three streams.
    #[serde(default)]
    pub tty: Option<Size>,
}

/// What the agent of an embedded container reads before it begins.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentConfig {
    /// The container's main command, with the agent's own three streams. None: wait for a signal to end.
    #[serde(default)]
    pub main: Option<Command>,
    /// Who is process 1.
    #[serde(default)]
    pub init: Init,
    /// What holds for everything that is started, the main command included.
    pub sandbox: Sandbox,
}

/// Who is process 1 of an embedded container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// The agent: it reaps everything, passes signals on to the main command, and ends as that ends.
    #[default]
    Agent,
    /// The main command, such as systemd. The agent is its child.
    MainAsPid1,
}

/// What a command in a container may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The capabilities of root, such as `CHOWN` or `CAP_CHOWN`: bounding, permitted and effective. Others have none.
    /// `ALL` is whatever the agent has itself.
    pub capabilities: Vec<String>,
    /// Which system calls there are.
    pub seccomp: Seccomp,
    /// Whether programs with set-user-id bits, such as sudo, stay powerless.
    #[serde(default)]
    pub no_new_privileges: bool,
}

impl Sandbox {
    /// Returns what a container has under Docker by default.
    pub fn docker() -> Self {
        let capabilities = DOCKER_CAPABILITIES.map(str::to_owned).to_vec();
        Self { capabilities, seccomp: Seccomp::Docker, no_new_privileges: false }
    }
}

/// The capabilities that Docker gives by default.
pub const DOCKER_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// A filter of system calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// As Docker's default profile, which depends on the capabilities.
    #[default]
    Docker,
    /// None.
    None,
}
