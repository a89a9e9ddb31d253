//! `ansible-playbook`, from its input to its end.

use std::path::Path;

use takelage_engine::Container;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{AnsibleError, Converged, Playbook, input::Input, ledger::Ledger};
use crate::{Bridge, process::Terminal, toolchain::Toolchain};

/// Runs a playbook against the containers of `bridge`.
///
/// What happens is sent as events by the bridge while it happens. A run that is cancelled ends with
/// [`AnsibleError::Cancelled`] when no process of it is left.
pub async fn run<C: Container>(
    tools: &Toolchain,
    playbook: &Playbook,
    bridge: &Bridge<C>,
    cancel: CancellationToken,
) -> Result<Converged, AnsibleError> {
    let path = playbook.project_root.join(&playbook.path);
    if !path.is_file() {
        return Err(AnsibleError::NoPlaybook { path: playbook.path.clone() });
    }
    let private = bridge.socket().parent().unwrap_or(Path::new("/"));
    let input = Input::of_playbook(private, playbook)
        .map_err(|source| AnsibleError::Input { directory: private.to_owned(), source })?;
    bridge.start_ahead();
    let mut ledger = Ledger::default();
    let terminal = if playbook.interactive { Terminal::Shared } else { Terminal::None };
    let command = command(tools, playbook, &path, &input, bridge);
    let line = |_, line: &str| bridge.output("ansible", line);
    let ended = bridge.attend(command, terminal, &cancel, line, |report| ledger.add(report)).await;
    let ended =
        ended.map_err(|source| AnsibleError::Start { program: tools.ansible.python.clone(), source })?;
    if ended.cancelled {
        return Err(AnsibleError::Cancelled);
    }
    ledger.close(ended.status.success(), ended.status.to_string(), ended.stderr)
}

fn command<C: Container>(
    tools: &Toolchain,
    playbook: &Playbook,
    path: &Path,
    input: &Input,
    bridge: &Bridge<C>,
) -> Command {
    let mut command = Command::new(&tools.ansible.python);
    command
        .arg(input.shims.join("launch_ansible.py"))
        .arg("ansible-playbook")
        .arg("--inventory")
        .arg(input.path("inventory"))
        .current_dir(&playbook.project_root)
        .env_clear()
        .envs(playbook.env.iter().map(|(name, value)| (name, value)))
        .envs(crate::toolchain::quiet())
        .envs(crate::toolchain::locale(&playbook.env))
        .envs(bridge.variables())
        .env("TAKELAGE_SETTINGS", input.path("settings.json"))
        .env("TAKELAGE_REPORT", "alone")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_FORCE_COLOR", "0")
        .env("ANSIBLE_RETRY_FILES_ENABLED", "0");
    if !playbook.extra_vars.is_empty() {
        let mut file = std::ffi::OsString::from("@");
        file.push(input.path("extra_vars.json"));
        command.arg("--extra-vars").arg(file);
    }
    for (wanted, flag) in
        [(playbook.check, "--check"), (playbook.diff, "--diff"), (playbook.syntax_only, "--syntax-check")]
    {
        if wanted {
            command.arg(flag);
        }
    }
    if playbook.verbosity > 0 {
        command.arg(format!("-{}", "v".repeat(usize::from(playbook.verbosity.min(6)))));
    }
    command.args(&playbook.extra_args).arg(path);
    command
}
