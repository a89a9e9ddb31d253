//! Any other program that a project asks for, under watch like Ansible and pytest.

use std::{ffi::OsStr, io, path::PathBuf};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::process::{Source, Terminal, watch};

/// A program.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// What is started: a path, or a name that is looked up in its own `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The directory in which it runs.
    pub directory: PathBuf,
    /// Its whole environment; nothing else is inherited.
    pub env: Vec<(String, String)>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this exit status.
    Exited(i32),
    /// By a signal that takelage did not send.
    Killed,
    /// By takelage, because the run was interrupted.
    Cancelled,
}

/// Runs a program without input to its end. `mark` is unique to the run; `line` gets what it prints, with whether it is
/// from standard error.
pub async fn run(
    program: &Program,
    mark: &OsStr,
    cancel: &CancellationToken,
    mut line: impl FnMut(bool, &str),
) -> io::Result<Ended> {
    let mut command = Command::new(&program.program);
    command
        .args(&program.arguments)
        .current_dir(&program.directory)
        .env_clear()
        .envs(program.env.iter().map(|(name, value)| (name, value)));
    let ended = watch(command, mark, Terminal::None, cancel, |source, text| {
        line(source == Source::Stderr, text);
    });
    let ended = ended.await?;
    Ok(match ended.status.code() {
        _ if ended.cancelled => Ended::Cancelled,
        Some(status) => Ended::Exited(status),
        None => Ended::Killed,
    })
}
