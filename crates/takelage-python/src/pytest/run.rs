//! `pytest`, from its input to its end.

use std::path::{Path, PathBuf};

use takelage_engine::Container;
use takelage_model::event::Check;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{PytestError, Session, Verified};
use crate::{
    Bridge,
    ansible::Input,
    bridge::Report,
    process::{Source, Terminal},
    toolchain::Toolchain,
};

/// pytest's exit statuses, from its documentation.
mod exit {
    pub(super) const FAILED: i32 = 1;
    pub(super) const USAGE: i32 = 4;
    pub(super) const NOTHING: i32 = 5;
}

/// Options that need what earlier runs have left in pytest's cache.
const CACHE_OPTIONS: [&str; 11] = [
    "--lf",
    "--last-failed",
    "--ff",
    "--failed-first",
    "--nf",
    "--new-first",
    "--sw",
    "--stepwise",
    "--cache-show",
    "--cache-clear",
    "--stepwise-skip",
];

/// Runs checks against the containers of `bridge`. Every check is sent as an event by the bridge when it ends, and shown to
/// `seen`.
pub async fn verify<C: Container>(
    tools: &Toolchain,
    session: &Session,
    bridge: &Bridge<C>,
    cancel: CancellationToken,
    mut seen: impl FnMut(Check),
) -> Result<Verified, PytestError> {
    let tests = session.project_root.join(&session.tests);
    if !tests.exists() {
        return Err(PytestError::NoTests { tests: session.tests.clone() });
    }
    let private = bridge.socket().parent().unwrap_or(Path::new("/"));
    let input = Input::of_checks(private, session, tools)
        .map_err(|source| PytestError::Input { directory: private.to_owned(), source })?;
    let molecule = super::molecule::environment(session, &input.path("molecule"), input.path("inventory"))
        .map_err(|source| PytestError::Input { directory: private.to_owned(), source })?;
    let mut verified = Verified::default();
    let uncaptured = session.options.iter().any(|option| option == "-s" || option == "--capture=no");
    let terminal = if session.interactive { Terminal::Shared } else { Terminal::None };
    let command = command(tools, session, &tests, &input, bridge, molecule);
    // pytest's own report repeats what the events say; it is kept for the case that pytest itself breaks.
    let line = |source, line: &str| {
        if source == Source::Stderr || uncaptured {
            bridge.output("pytest", line);
        }
    };
    let report = |report: Report| {
        verified.add(&report);
        if let Report::Check { check } = report {
            seen(check);
        }
    };
    let ended = bridge.attend(command, terminal, &cancel, line, report).await;
    let ended =
        ended.map_err(|source| PytestError::Start { program: tools.pytest.python.clone(), source })?;
    if ended.cancelled {
        return Err(PytestError::Cancelled);
    }
    match ended.status.code() {
        _ if verified.bad() > 0 => Err(PytestError::Failed(verified)),
        Some(0) if verified.all() > 0 => Ok(verified),
        Some(0 | exit::NOTHING) => {
            Err(PytestError::NoChecks { tests: session.tests.clone(), deselected: verified.deselected })
        }
        // Nothing failed and yet the session did: a plugin decided so.
        Some(exit::FAILED) => Err(PytestError::Failed(verified)),
        Some(exit::USAGE) => Err(PytestError::Usage { message: usage(&ended.stderr, &ended.stdout) }),
        _ => {
            let output = format!("{}\n{}", ended.stdout, ended.stderr).trim().to_owned();
            let message =
                output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
            Err(PytestError::Crashed { status: ended.status.to_string(), message, output })
        }
    }
}

/// Returns pytest's complaint about its options or `conftest.py`, without its usage text.
fn usage(stderr: &str, stdout: &str) -> String {
    let lines: Vec<_> =
        stderr.lines().chain(stdout.lines()).map(str::trim).filter(|line| !line.is_empty()).collect();
    let after = |mark: &str| {
        let mut complaints =
            lines.iter().filter_map(|line| line.split_once(mark).map(|(_, complaint)| complaint));
        complaints.find(|complaint| !complaint.starts_with("usage: "))
    };
    let complaint = after("error: ").or_else(|| after("ERROR: "));
    complaint.unwrap_or_else(|| lines.last().copied().unwrap_or("it said nothing")).to_owned()
}

fn command<C: Container>(
    tools: &Toolchain,
    session: &Session,
    tests: &Path,
    input: &Input,
    bridge: &Bridge<C>,
    molecule: Vec<(&'static str, PathBuf)>,
) -> Command {
    let mut command = Command::new(&tools.pytest.python);
    let path = session.env.iter().rfind(|(name, _)| name == "PATH").map_or("/usr/bin:/bin", |(_, path)| path);
    let path = format!("{}:{path}", input.path("bin").display());
    let hosts: Vec<_> = session.hosts.iter().map(|host| format!("takelage://{host}")).collect();
    command
        .arg(input.shims.join("launch_pytest.py"))
        .args(["-p", "takelage_pytest"])
        .current_dir(&session.project_root)
        .env_clear()
        .envs(session.env.iter().map(|(name, value)| (name, value)))
        .envs(crate::toolchain::quiet())
        .envs(crate::toolchain::locale(&session.env))
        .env("PATH", path)
        .envs(bridge.variables())
        .envs([input.variable()])
        .env("TAKELAGE_SETTINGS", input.path("settings.json"))
        .env("TAKELAGE_HOSTS", hosts.join(","))
        .env("TAKELAGE_INVENTORY", input.path("inventory"))
        .env("ANSIBLE_NOCOLOR", "1");
    // What the user has set wins.
    command.envs(molecule.into_iter().filter(|(name, _)| !session.env.iter().any(|(set, _)| set == name)));
    if !session.options.iter().any(|option| CACHE_OPTIONS.contains(&option.as_str())) {
        // pytest's cache would be written into the project; nobody asked to read it.
        command.arg("-o").arg(format!("cache_dir={}", input.path("cache").display()));
    }
    for plugin in &session.plugins {
        command.arg("-p").arg(plugin);
    }
    if session.verbosity > 0 {
        command.arg(format!("-{}", "v".repeat(usize::from(session.verbosity.min(4)))));
    }
    command.args(&session.options).arg(tests);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_complaint_is_found_among_the_usage_text() {
        let stderr = "ERROR: usage: pytest [options] [file_or_dir]\npytest: error: unrecognized arguments: --x\n  inifile: None\n";
        assert_eq!(usage(stderr, ""), "unrecognized arguments: --x");
        let stderr = "ImportError while loading conftest '/p/conftest.py'.\nE   ModuleNotFoundError: No module named 'x'";
        assert_eq!(usage(stderr, ""), "E   ModuleNotFoundError: No module named 'x'");
        assert_eq!(usage("ERROR: file or directory not found: t\n", ""), "file or directory not found: t");
        assert_eq!(usage("", ""), "it said nothing");
    }
}
