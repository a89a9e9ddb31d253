//! `pytest` with a command line, an environment and an inventory that somebody else has composed.

use std::path::{Path, PathBuf};

use takelage_engine::Container;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{PytestError, Session, Verified};
use crate::{
    Bridge,
    ansible::{Input, Invoked},
    process::{Source, Terminal},
    toolchain::Toolchain,
};

/// A call of `pytest`.
#[derive(Debug, Clone, Default)]
pub struct Invocation {
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The directory in which it runs.
    pub directory: PathBuf,
    /// Its whole environment; nothing else is inherited.
    pub env: Vec<(String, String)>,
    /// The inventory's directory.
    pub inventory: PathBuf,
    /// Names of the bridge's hosts.
    pub hosts: Vec<String>,
}

/// Runs checks against the containers of `bridge`. What pytest prints goes to `line`, with whether it is from standard
/// error; every check is sent as an event by the bridge when it ends.
pub async fn invoke<C: Container>(
    tools: &Toolchain,
    invocation: &Invocation,
    bridge: &Bridge<C>,
    cancel: CancellationToken,
    mut line: impl FnMut(bool, &str),
) -> Result<Invoked<Verified, PytestError>, PytestError> {
    let private = bridge.socket().parent().unwrap_or(Path::new("/"));
    let input = |source| PytestError::Input { directory: private.to_owned(), source };
    // Only the programs among it are needed, by which checks reach the containers of their own accord.
    let session = Session { project_root: invocation.directory.clone(), ..Session::default() };
    let files = Input::of_checks(private, &session, tools).map_err(input)?;
    let path = invocation.env.iter().rfind(|(name, _)| name == "PATH");
    let path = path.map_or("/usr/bin:/bin", |(_, path)| path);
    let hosts: Vec<_> = invocation.hosts.iter().map(|host| format!("takelage://{host}")).collect();
    let mut command = Command::new(&tools.pytest.python);
    command
        .arg(files.shims.join("launch_pytest.py"))
        .args(["-p", "takelage_pytest"])
        .args(&invocation.arguments)
        .current_dir(&invocation.directory)
        .env_clear()
        .envs(invocation.env.iter().map(|(name, value)| (name, value)))
        .envs(crate::toolchain::quiet())
        .envs(crate::toolchain::locale(&invocation.env))
        .env("PATH", format!("{}:{path}", files.path("bin").display()))
        .envs(bridge.variables())
        .envs([files.variable()])
        .env("TAKELAGE_HOSTS", hosts.join(","))
        .env("TAKELAGE_INVENTORY", &invocation.inventory);
    let mut verified = Verified::default();
    let line = |source, text: &str| line(source == Source::Stderr, text);
    let ended = bridge.attend(command, Terminal::None, &cancel, line, |report| verified.add(&report)).await;
    let ended =
        ended.map_err(|source| PytestError::Start { program: tools.pytest.python.clone(), source })?;
    if ended.cancelled {
        return Err(PytestError::Cancelled);
    }
    let result = match ended.status.code() {
        Some(0) => Ok(verified),
        Some(1) => Err(PytestError::Failed(verified)),
        _ => {
            let output = format!("{}\n{}", ended.stdout, ended.stderr).trim().to_owned();
            let said = output.lines().rfind(|line| !line.trim().is_empty());
            let message = said.unwrap_or("it said nothing").to_owned();
            Err(PytestError::Crashed { status: ended.status.to_string(), message, output })
        }
    };
    Ok(Invoked { status: ended.status.code(), result })
}
