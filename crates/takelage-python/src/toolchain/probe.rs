//! Asks programs which Python they run with and which packages that Python has.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::Read,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde::Deserialize;
use tokio::process::Command;

/// A program that takes longer to say its version is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints what [`Probe`] reads.
const QUESTION: &str = r#"
import json, sys
from importlib import metadata
packages = {}
for name in ("ansible", "ansible-core", "pytest", "pytest-testinfra"):
    try:
        packages[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
print(json.dumps({"executable": sys.executable, "version": list(sys.version_info[:3]), "packages": packages}))
"#;

/// A pytest plugin that answers the question and ends pytest at once.
const PLUGIN: &str =
    "import os, sys\nexec(os.environ['TAKELAGE_QUESTION'])\nsys.stdout.flush()\nos._exit(0)\n";

/// What a Python says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Probe {
    /// Its own path.
    pub(super) executable: PathBuf,
    /// Its version.
    pub(super) version: [u32; 3],
    /// The versions of the packages that matter.
    pub(super) packages: BTreeMap<String, String>,
}

impl Probe {
    /// Returns the version as people write it.
    pub(super) fn version(&self) -> String {
        let [major, minor, micro] = self.version;
        format!("{major}.{minor}.{micro}")
    }
}

/// Runs a program without input, in a directory that has no say, and returns its output, or why there is none.
pub(super) async fn output(command: &mut Command, env: &[(String, String)]) -> Result<Output, String> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.current_dir("/").env_clear().stdin(Stdio::null()).kill_on_drop(true);
    // What was set for this command in particular comes from its builder and must survive.
    command.envs(env.iter().map(|(name, value)| (name, value))).envs(crate::toolchain::quiet());
    match tokio::time::timeout(PATIENCE, command.output()).await {
        Err(_) => Err(format!("`{program}` did not answer within {} seconds", PATIENCE.as_secs())),
        Ok(Err(error)) => Err(format!("cannot start `{program}`: {error}")),
        Ok(Ok(output)) if output.status.success() => Ok(output),
        Ok(Ok(output)) => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint =
                complaint.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").trim().to_owned();
            Err(format!("`{program}` ended with {}: {complaint}", output.status))
        }
    }
}

/// Asks a Python.
pub(super) async fn python(program: impl AsRef<OsStr>, env: &[(String, String)]) -> Result<Probe, String> {
    let asked = output(Command::new(program.as_ref()).args(["-c", QUESTION]), env).await?;
    parse(&asked.stdout, program.as_ref())
}

/// Asks the Python of an `ansible-playbook`.
pub(super) async fn ansible(program: &Path, env: &[(String, String)]) -> Result<Probe, String> {
    if let Some(interpreter) = shebang(program)
        && let Ok(probe) = python(&interpreter, env).await
        && probe.packages.contains_key("ansible-core")
    {
        return Ok(probe);
    }
    // A wrapper script of some kind: it knows which Python it starts.
    let asked = output(Command::new(program).arg("--version"), env).await?;
    let text = String::from_utf8_lossy(&asked.stdout);
    let interpreter = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("python version = "))
        .find_map(|line| line.rsplit_once('(').map(|(_, path)| path.trim_end_matches(')').to_owned()))
        .ok_or_else(|| format!("`{} --version` does not say which Python it uses", program.display()))?;
    python(interpreter, env).await
}

/// Asks the Python of a `pytest`.
pub(super) async fn pytest(program: &Path, env: &[(String, String)]) -> Result<Probe, String> {
    if let Some(interpreter) = shebang(program)
        && let Ok(probe) = python(&interpreter, env).await
        && probe.packages.contains_key("pytest")
    {
        return Ok(probe);
    }
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    fs_err::write(directory.path().join("takelage_probe.py"), PLUGIN).map_err(|error| error.to_string())?;
    let mut env = env.to_vec();
    env.retain(|(name, _)| name != "PYTHONPATH");
    env.push(("PYTHONPATH".to_owned(), directory.path().to_string_lossy().into_owned()));
    env.push(("TAKELAGE_QUESTION".to_owned(), QUESTION.to_owned()));
    let asked = output(Command::new(program).args(["-p", "takelage_probe", "--version"]), &env).await?;
    parse(&asked.stdout, program.as_os_str())
}

fn parse(answer: &[u8], program: &OsStr) -> Result<Probe, String> {
    serde_json::from_slice(answer)
        .map_err(|error| format!("`{}` answers nonsense: {error}", program.display()))
}

/// Returns the interpreter in a script's first line, if it is a Python.
fn shebang(program: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    fs_err::File::open(program).ok()?.take(512).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let interpreter = Path::new(std::str::from_utf8(line).ok()?.split_whitespace().next()?).to_owned();
    let python = interpreter.file_name()?.to_str()?.starts_with("python");
    (python && interpreter.is_absolute()).then_some(interpreter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pythons_shebang_counts() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("pytest");
        for (text, expected) in [
            ("#!/opt/venv/bin/python3.11\nimport x\n", Some("/opt/venv/bin/python3.11")),
            ("#!/usr/bin/python3 -I\n", Some("/usr/bin/python3")),
            ("#!/usr/bin/env bash\n", None),
            ("#!/bin/sh\n'''exec' python3\n", None),
            ("\x7fELF", None),
            ("", None),
        ] {
            fs_err::write(&script, text).unwrap();
            assert_eq!(shebang(&script).as_deref(), expected.map(Path::new), "{text:?}");
        }
    }
}
