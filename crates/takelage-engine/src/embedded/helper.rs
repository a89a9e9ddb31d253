//! The re-executed process: what must not happen in a program with threads.
//!
//! Creating a container clones, unshares and mounts; what belongs to a container of an ordinary user belongs to ids
//! that only a user namespace has. So the engine starts the program that it is part of once more, as a process with one
//! thread that does one task:
//!
//! ```text
//! argv    = PROGRAM WORD
//! stdin   = one line of JSON: the task; then what the task reads, if it reads anything
//! stdout  = what the task writes, if it writes anything
//! stderr  = what the runtime says; the last line is JSON: how it went
//! ```
//!
//! A task that runs a container or a network goes on after its line until that has ended.

use std::{
    ffi::{OsStr, OsString},
    io::{BufRead as _, Read as _, Write as _},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};

use super::{jobs::Job, monitor::Monitor, network::Switch, rootless::Mapping};

/// The first argument of the re-executed program. Nobody types it.
pub(super) const WORD: &str = "--takelage-embedded-engine";

/// The longest line that is a task, in bytes.
const TASK_LIMIT: u64 = 8 << 20;

/// What a helper is started for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    /// Run a container until it ends.
    Monitor(Box<Monitor>),
    /// Run a network of containers until the last of them is gone.
    Switch(Switch),
    /// Do something with the files of an image or a container.
    Job(Job),
    /// Tell the kernel which ids a user namespace has.
    Map(Mapping),
}

/// How a task went.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It is done, or the container runs.
    Done(Answer),
    /// It cannot be done.
    Failed(Trouble),
}

impl From<Result<Answer, Trouble>> for Outcome {
    fn from(result: Result<Answer, Trouble>) -> Self {
        match result {
            Ok(answer) => Self::Done(answer),
            Err(trouble) => Self::Failed(trouble),
        }
    }
}

/// What a task found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The digest of what was packed or unpacked.
    pub(super) digest: Option<takelage_model::Digest>,
    /// Its length in bytes.
    pub(super) size: u64,
    /// How many entries it has.
    pub(super) entries: u64,
}

/// Why a task cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    /// What kind of trouble it is.
    pub(super) kind: TroubleKind,
    /// One sentence.
    pub(super) message: String,
}

/// Kinds of trouble that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TroubleKind {
    /// The disk is full.
    DiskFull,
    /// There is no such file or directory in the container.
    NoSuchPath,
    /// Anything else.
    Other,
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => TroubleKind::DiskFull,
            _ => TroubleKind::Other,
        };
        Self { kind, message: error.to_string() }
    }
}

impl From<Trouble> for std::io::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble.kind {
            TroubleKind::DiskFull => Self::new(std::io::ErrorKind::StorageFull, trouble.message),
            TroubleKind::NoSuchPath | TroubleKind::Other => Self::other(trouble.message),
        }
    }
}

/// Does the task of a helper if `arguments` say that this process is one, and returns how it ends. The first thing that
/// a program with the embedded engine does, before there is a second thread.
pub fn helper(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.nth(1).as_deref() != Some(OsStr::new(WORD)) {
        return None;
    }
    tracing_to_stderr();
    let mut line = String::new();
    // A task is a page of JSON; whatever sends more is not the engine.
    let read = std::io::stdin().lock().take(TASK_LIMIT).read_line(&mut line);
    let outcome = match (read, serde_json::from_str(&line)) {
        (Ok(_), Ok(Task::Monitor(monitor))) => return Some(monitor.run()),
        (Ok(_), Ok(Task::Switch(switch))) => return Some(switch.run()),
        (Ok(_), Ok(Task::Job(job))) => job.run().into(),
        (Ok(_), Ok(Task::Map(mapping))) => mapping.run().map_err(Trouble::from).into(),
        (Ok(_), Err(error)) => Outcome::Failed(Trouble {
            kind: TroubleKind::Other,
            message: format!("this is no task of the embedded engine: {error}"),
        }),
        (Err(error), _) => Outcome::Failed(error.into()),
    };
    tell(&outcome);
    Some(if matches!(outcome, Outcome::Done(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Says how it went. If nobody listens any more, nobody wants to know.
pub(super) fn tell(outcome: &Outcome) {
    let mut line = serde_json::to_vec(outcome).unwrap_or_default();
    line.push(b'\n');
    let _ = std::io::stderr().write_all(&line);
}

/// Lets go of the standard streams of whoever started this process, which goes on.
pub(super) fn quieten() {
    let Ok(null) = fs_err::OpenOptions::new().read(true).write(true).open("/dev/null") else { return };
    let null = null.into_file();
    let _ = rustix::stdio::dup2_stdin(&null);
    let _ = rustix::stdio::dup2_stdout(&null);
    let _ = rustix::stdio::dup2_stderr(&null);
}

/// Has the runtime's own words about an error in front of the last line.
fn tracing_to_stderr() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::ERROR)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .finish();
    let _ = tracing::subscriber::set_global_default(subscriber);
}
