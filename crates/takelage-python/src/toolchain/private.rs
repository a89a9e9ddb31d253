//! The private environment.
//!
//! ```text
//! PRIVATE/toolchains-v1/
//!   DIGEST/            a virtual environment; scripts in it know this path, so it is made in place
//!   DIGEST/complete    written last: without it the environment is made anew
//!   DIGEST/temporary   pip's files while it installs
//!   DIGEST.lock        held by whoever makes it
//! ```

use std::{
    ffi::OsString,
    fs::TryLockError,
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use takelage_model::Digest;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use super::{
    Say, ToolchainError, Wanted,
    pip::Pip,
    probe::{self, Probe},
    pythons,
};

/// The last thing written into an environment.
const COMPLETE: &str = "complete";

/// Settings of pip that would install elsewhere, or make it ask; with what they are set to instead.
const PIP_SETTINGS: [(&str, &str); 5] = [
    ("PIP_USER", "0"),
    ("PIP_NO_INPUT", "1"),
    ("PIP_REQUIRE_VIRTUALENV", "0"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
    ("PYTHONNOUSERSITE", "1"),
];
const PIP_REMOVED: [&str; 7] =
    ["PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"];

/// What an environment is made for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    /// Ansible and pytest, or pytest alone, which is made in a tenth of the time.
    pub(super) ansible: bool,
    /// The user's own requirements, which take the place of the pinned list.
    pub(super) requirements: Vec<String>,
}

impl Content {
    const fn words(&self) -> &'static str {
        if self.ansible { "Ansible and pytest" } else { "pytest" }
    }

    /// Returns the pinned list, or its part.
    fn list(&self, version: [u32; 3]) -> String {
        let list = pythons::list(version).unwrap_or_default();
        if self.ansible { list.to_owned() } else { pythons::checks(list) }
    }
}

/// Returns where the environment for a Python is or would be.
pub(super) fn directory(wanted: &Wanted, python: &Probe, content: &Content) -> PathBuf {
    let [major, minor, _] = python.version;
    let mut recipe = format!("{major}.{minor}\n{}\n", python.executable.display());
    recipe.push_str(&content.list(python.version));
    recipe.push_str(&content.requirements.join("\n"));
    wanted.private.join("toolchains-v1").join(Digest::of(recipe).short())
}

/// Whether the environment was made to its end.
pub(super) fn is_complete(directory: &Path) -> bool {
    directory.join(COMPLETE).is_file()
}

/// Makes the environment unless it is there, and returns its directory and what its Python has.
pub(super) async fn make(
    wanted: &Wanted,
    content: &Content,
    say: Say<'_>,
) -> Result<(PathBuf, Probe), ToolchainError> {
    let python = pythons::find(wanted)
        .await
        .map_err(|reason| ToolchainError::NoPython { oldest: pythons::OLDEST, reason })?;
    let directory = directory(wanted, &python, content);
    if !is_complete(&directory) {
        let parent = directory.parent().unwrap_or(&wanted.private);
        fs_err::create_dir_all(parent).map_err(at(parent))?;
        let _lock = lock(&directory.with_extension("lock"), say).await?;
        // Another process may have made it while this one waited.
        if !is_complete(&directory) {
            build(wanted, &python, content, &directory, say).await?;
        }
    }
    let probe = probe::python(directory.join("bin/python"), &wanted.env)
        .await
        .map_err(|reason| ToolchainError::Unusable { path: directory.clone(), reason })?;
    Ok((directory, probe))
}

/// Waits for an exclusive lock, which ends with the returned file.
async fn lock(path: &Path, say: Say<'_>) -> Result<std::fs::File, ToolchainError> {
    let file =
        std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(at(path))?;
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => {
                return Err(ToolchainError::Directory { path: path.to_owned(), source });
            }
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut told, true) {
                    say("waiting for another takelage that is making a private environment");
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Makes the environment in place, from nothing.
async fn build(
    wanted: &Wanted,
    python: &Probe,
    content: &Content,
    directory: &Path,
    say: Say<'_>,
) -> Result<(), ToolchainError> {
    let pip = Pip::find(wanted, python).await?;
    say(&format!("making a private environment with {}, Python {}; once", content.words(), python.version()));
    if directory.exists() {
        fs_err::remove_dir_all(directory).map_err(at(directory))?;
    }
    let mut venv = Command::new(&python.executable);
    venv.args(["-I", "-m", "venv"]).args(pip.venv()).arg(directory);
    probe::output(&mut venv, &wanted.env)
        .await
        .map_err(|output| ToolchainError::Venv { python: python.executable.clone(), output })?;

    let temporary = directory.join("temporary");
    fs_err::create_dir(&temporary).map_err(at(&temporary))?;
    let install = Install { wanted, pip: &pip, directory, temporary: &temporary };
    let requirements = &content.requirements;
    if requirements.is_empty() {
        let list = directory.join("requirements.txt");
        fs_err::write(&list, content.list(python.version)).map_err(at(&list))?;
        let pinned = ["--require-hashes".into(), "--requirement".into(), list.into_os_string()];
        install.run(&pinned, "the pinned list", say).await?;
    } else {
        // The user's own pin decides; what is left of the pinned list is unpinned by it.
        let mut own: Vec<_> = requirements.iter().map(OsString::from).collect();
        let packages = ["ansible", "pytest", "pytest-testinfra"];
        for package in packages.into_iter().filter(|package| content.ansible || *package != "ansible") {
            if !requirements.iter().any(|requirement| name_of(requirement).starts_with(package)) {
                own.push(package.into());
            }
        }
        install.run(&own, &format!("`{}`", requirements.join("`, `")), say).await?;
    }
    compile(wanted, directory, say).await;
    fs_err::remove_dir_all(&temporary).map_err(at(&temporary))?;
    replace(&directory.join(COMPLETE), b"").map_err(at(directory))
}

/// pip at work in an environment. It leaves nothing outside of it.
struct Install<'a> {
    wanted: &'a Wanted,
    pip: &'a Pip,
    directory: &'a Path,
    temporary: &'a Path,
}

impl Install<'_> {
    fn command(&self, what: &[OsString]) -> Command {
        let kept = |name: &str| !PIP_REMOVED.contains(&name);
        let mut command = Command::new(self.directory.join("bin/python"));
        command
            .arg("-I")
            .args(self.pip.start())
            .args(["install", "--only-binary", ":all:", "--no-compile", "--progress-bar", "off"])
            .arg("--no-cache-dir")
            .args(what)
            .current_dir(self.directory)
            .env_clear()
            .envs(self.wanted.env.iter().filter(|(name, _)| kept(name)).map(|(n, v)| (n, v)))
            .envs(PIP_SETTINGS)
            .env("TMPDIR", self.temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, what: &[OsString], name: &str, say: Say<'_>) -> Result<(), ToolchainError> {
        let fail = |reason: String, output: String| ToolchainError::Install {
            what: name.to_owned(),
            reason,
            output,
        };
        let started = self.command(what).spawn();
        let mut child = started.map_err(|error| fail(format!("cannot start: {error}"), String::new()))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let progress = async {
            let Some(stdout) = stdout else { return };
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                // One line per package, and the long silence while they are unpacked.
                if line.starts_with("Collecting ") || line.starts_with("Installing collected") {
                    say(line.split(" (from").next().unwrap_or(&line));
                }
            }
        };
        let complaints = async {
            let mut text = String::new();
            if let Some(mut stderr) = stderr {
                let mut bytes = Vec::new();
                let _ = tokio::io::AsyncReadExt::read_to_end(&mut stderr, &mut bytes).await;
                text = String::from_utf8_lossy(&bytes).into_owned();
            }
            text
        };
        let (status, (), output) = tokio::join!(child.wait(), progress, complaints);
        let status = status.map_err(|error| fail(error.to_string(), String::new()))?;
        if status.success() {
            return Ok(());
        }
        let reason = output
            .lines()
            .rfind(|line| line.starts_with("ERROR: "))
            .map_or_else(|| status.to_string(), |line| line.trim_start_matches("ERROR: ").to_owned());
        Err(fail(reason, output))
    }
}

/// Compiles what every run imports; the collections' thousands of modules are never imported on this side.
async fn compile(wanted: &Wanted, directory: &Path, say: Say<'_>) {
    say("compiling");
    let mut command = Command::new(directory.join("bin/python"));
    command.args(["-I", "-m", "compileall", "-q", "-j", "0", "-x", "ansible_collections|/ansible/modules/"]);
    command.arg(directory.join("lib"));
    // Only speed depends on it.
    if let Err(reason) = probe::output(&mut command, &wanted.env).await {
        tracing::debug!(reason, "not everything was compiled");
    }
}

/// Returns the package's name in a requirement.
fn name_of(requirement: &str) -> &str {
    requirement.split(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next().unwrap_or_default()
}

/// Writes a file by a temporary one beside it, so that it is whole or not there.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

fn at(path: &Path) -> impl Fn(io::Error) -> ToolchainError {
    let path = path.to_owned();
    move |source| ToolchainError::Directory { path: path.clone(), source }
}
