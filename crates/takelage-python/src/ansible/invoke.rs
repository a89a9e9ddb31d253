//! `ansible-playbook` with a command line, an environment and an inventory that somebody else has composed.

use std::path::{Path, PathBuf};

use takelage_engine::Container;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{AnsibleError, Converged, ledger::Ledger};
use crate::{
    Bridge,
    process::{Source, Terminal},
    shim,
    toolchain::Toolchain,
};

/// A call of `ansible-playbook`.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The directory in which it runs.
    pub directory: PathBuf,
    /// Its whole environment; nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// Whether differences are reported, asked for by the arguments or not.
    pub diff: bool,
}

/// How a program ended.
#[derive(Debug)]
pub struct Invoked<T, E> {
    /// Its exit status; none if a signal ended it.
    pub status: Option<i32>,
    /// What it did, or why it failed.
    pub result: Result<T, E>,
}

/// Runs a playbook against the containers of `bridge`. What it prints stays as its user has it and goes to `line`, with
/// whether it is from standard error; what it does is sent as events by the bridge.
///
/// A run that is cancelled ends with [`AnsibleError::Cancelled`] when no process of it is left.
pub async fn invoke<C: Container>(
    tools: &Toolchain,
    invocation: &Invocation,
    bridge: &Bridge<C>,
    cancel: CancellationToken,
    mut line: impl FnMut(bool, &str),
) -> Result<Invoked<Converged, AnsibleError>, AnsibleError> {
    let private = bridge.socket().parent().unwrap_or(Path::new("/"));
    let shims = shim::write(private)
        .map_err(|source| AnsibleError::Input { directory: private.to_owned(), source })?;
    let mut command = Command::new(&tools.ansible.python);
    command
        .arg(shims.join("launch_ansible.py"))
        .arg("ansible-playbook")
        .args(&invocation.arguments)
        .current_dir(&invocation.directory)
        .env_clear()
        .envs(invocation.env.iter().map(|(name, value)| (name, value)))
        .envs(crate::toolchain::quiet())
        .envs(crate::toolchain::locale(&invocation.env))
        .envs(bridge.variables())
        .env("TAKELAGE_REPORT", "beside");
    if invocation.diff {
        command.env("TAKELAGE_DIFF", "1");
    }
    let mut ledger = Ledger::default();
    let line = |source, text: &str| line(source == Source::Stderr, text);
    let ended = bridge.attend(command, Terminal::None, &cancel, line, |report| ledger.add(report)).await;
    let ended =
        ended.map_err(|source| AnsibleError::Start { program: tools.ansible.python.clone(), source })?;
    if ended.cancelled {
        return Err(AnsibleError::Cancelled);
    }
    let result = if ended.status.success() {
        // Also without any host: whoever composed the call may have meant that.
        Ok(ledger.converged())
    } else {
        ledger.close(false, ended.status.to_string(), ended.stderr)
    };
    Ok(Invoked { status: ended.status.code(), result })
}
