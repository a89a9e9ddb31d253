//! Which pip installs into a private environment.
//!
//! A Debian with nothing but `python3` has none at all: its `ensurepip` is a part of `python3-venv`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokio::process::Command;

use super::{ToolchainError, Wanted, probe, probe::Probe};

/// Where Debian and Fedora keep the wheels that their Pythons begin virtual environments with.
const WHEELS: &str = "/usr/share/python-wheels";

/// Prints what [`Answer`] reads. `ensurepip` is imported, because distributions take parts of it away.
const QUESTION: &str = r#"
import importlib.util, json, os
try:
    import ensurepip
    ensured = bool(ensurepip.version())
except Exception:
    ensured = False
pip = importlib.util.find_spec("pip")
places = list(pip.submodule_search_locations or []) if pip else []
runners = [os.path.join(place, "__pip-runner__.py") for place in places]
print(json.dumps({"ensured": ensured, "runner": next(filter(os.path.isfile, runners), None)}))
"#;

/// A way to start pip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pip {
    /// The environment has its own, which `venv` puts there.
    Own,
    /// This program, run by the environment's Python.
    Program(PathBuf),
}

#[derive(Debug, Deserialize)]
struct Answer {
    ensured: bool,
    /// What pip (from 22.3 on) starts itself with in another environment. The rest of the packages beside it stay hidden.
    runner: Option<PathBuf>,
}

impl Pip {
    /// Finds a pip for environments of `python`: the one that `venv` brings, a wheel of the host's, the one that
    /// `python` has itself, and last the wheel that the caller has.
    pub(super) async fn find(wanted: &Wanted, python: &Probe) -> Result<Self, ToolchainError> {
        let mut ask = Command::new(&python.executable);
        ask.args(["-I", "-c", QUESTION]);
        let answer: Option<Answer> = match probe::output(&mut ask, &wanted.env).await {
            Ok(answer) => serde_json::from_slice(&answer.stdout).ok(),
            Err(_) => None,
        };
        if answer.as_ref().is_some_and(|answer| answer.ensured) {
            return Ok(Self::Own);
        }
        let runner = answer.and_then(|answer| answer.runner);
        // A wheel is a zip archive, and Python runs programs from those.
        let given = wanted.pip.iter().map(|wheel| wheel.join("pip"));
        for program in wheels(Path::new(WHEELS)).into_iter().chain(runner).chain(given) {
            let mut version = Command::new(&python.executable);
            version.arg("-I").arg(&program).arg("--version");
            match probe::output(&mut version, &wanted.env).await {
                Ok(_) => return Ok(Self::Program(program)),
                Err(reason) => tracing::debug!(program = %program.display(), reason, "this pip does not run"),
            }
        }
        Err(ToolchainError::NoPip { python: python.executable.clone() })
    }

    /// Returns the arguments of `python -m venv` that belong to it.
    pub(super) const fn venv(&self) -> &'static [&'static str] {
        match self {
            Self::Own => &[],
            Self::Program(_) => &["--without-pip"],
        }
    }

    /// Returns the arguments with which the environment's Python starts it.
    pub(super) fn start(&self) -> Vec<OsString> {
        match self {
            Self::Own => vec!["-m".into(), "pip".into()],
            Self::Program(program) => vec![program.into()],
        }
    }
}

/// Returns the pip inside of each of its wheels in a directory, the last version by name first.
fn wheels(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(directory) else { return Vec::new() };
    let mut wheels: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.starts_with("pip-") && name.ends_with(".whl")
        })
        .map(|entry| entry.path().join("pip"))
        .collect();
    wheels.sort();
    wheels.reverse();
    wheels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pips_own_wheels_count() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["pip-23.0-py3-none-any.whl", "pip_tools-1-py3-none-any.whl", "pip-9.tar.gz"] {
            fs_err::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(wheels(directory.path()), [directory.path().join("pip-23.0-py3-none-any.whl/pip")]);
        assert!(wheels(&directory.path().join("nowhere")).is_empty());
    }
}
