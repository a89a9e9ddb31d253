//! A project in a directory of its own.

use std::{
    collections::BTreeMap,
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use fs_err as fs;
use insta::internals::SettingsBindDropGuard;
use tempfile::TempDir;

use super::{Finished, Running};

/// A project, with a home, a cache and a directory for temporary files that nobody else uses.
///
/// While it lives, snapshots of this thread have words where paths, ids, digests and times would stand.
#[derive(Debug)]
pub(crate) struct TestProject {
    directory: TempDir,
    environment: BTreeMap<&'static str, String>,
    _redaction: Redaction,
}

struct Redaction(#[expect(dead_code, reason = "it works by being there")] SettingsBindDropGuard);

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redaction")
    }
}

impl TestProject {
    /// Makes a project without any file.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("e2e-").tempdir().unwrap();
        for name in ["project", "home", "tmp", "events"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let within = |name: &str| directory.path().join(name).display().to_string();
        let mut environment = BTreeMap::from([
            ("PATH", surroundings("PATH").unwrap_or_default()),
            ("HOME", within("home")),
            ("TMPDIR", within("tmp")),
            ("LANG", "C.UTF-8".to_owned()),
        ]);
        if let Some(host) = surroundings("DOCKER_HOST") {
            environment.insert("DOCKER_HOST", host);
        }
        let redaction = Redaction(redaction(directory.path()));
        Self { directory, environment, _redaction: redaction }
    }

    /// Writes a file of the project.
    pub(crate) fn with(self, path: &str, content: &str) -> Self {
        self.write(path, content);
        self
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Sets a variable for all runs that follow.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.environment.insert(name, value.to_owned());
    }

    /// Returns the project's directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("project")
    }

    /// Returns the directory of everything that belongs to the project.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts takelage with `arguments` and nothing to read.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_reading(arguments, "")
    }

    /// Starts takelage with `arguments` and a text to read.
    pub(crate) fn start_reading(&self, arguments: &[&str], text: &str) -> Running {
        let mut input = tempfile::tempfile().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.rewind().unwrap();
        let mut command = self.command(env!("CARGO_BIN_EXE_takelage"));
        command.stdin(input);
        command.arg("--cache-dir").arg(self.directory().join("cache"));
        Running::start(command, arguments, &self.directory().join("events"))
    }

    /// Prepares a program to be run in the project's directory.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root()).env_clear().envs(&self.environment);
        command
    }

    /// Runs takelage with `arguments` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests run in the surroundings that they are given")]
fn surroundings(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn redaction(directory: &Path) -> SettingsBindDropGuard {
    let mut settings = insta::Settings::clone_current();
    let canonical = directory.canonicalize().unwrap();
    for path in [directory, &canonical] {
        settings.add_filter(&regex_of(&format!("{}/project", path.display())), "[PROJECT]");
        settings.add_filter(&regex_of(&path.display().to_string()), "[DIR]");
    }
    settings.add_filter(r"\b[0-9a-f]{64}\b", "[DIGEST]");
    settings.add_filter(r"\b[0-9a-f]{12}\b", "[ID]");
    settings.add_filter(r"\b(e2e-[a-z-]+)-[0-9a-f]{8}\b", "$1-[PLACE]");
    // Only tasks that took long say how long, and columns are as wide as what is in them.
    settings.add_filter(r"(converge|idempotence): (changed: .*) \([^()]* s\)", "$1: $2");
    settings.add_filter(r"\b(\d+ min )?\d+(\.\d)? s\b", "[TIME]");
    settings.add_filter(r" {2,}(took|\[TIME\])", "  $1");
    settings.add_filter(r"\b\d+\.\d+ [kMG]B\b", "[SIZE]");
    settings.add_filter(r"docker \d+\.\d+\.\d+", "docker [VERSION]");
    settings.bind_to_scope()
}

/// Quotes the only character of a temporary path that means something in a regular expression.
fn regex_of(path: &str) -> String {
    path.replace('.', r"\.")
}
