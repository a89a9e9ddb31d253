//! One of the two sides: a program on a project, with the recorder first on `PATH`.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use fs_err as fs;
use serde_json::Value;
use tempfile::TempDir;

use crate::{normalise, projects::Scenario};

/// A project with a home and a recorder of its own. Both sides work in the same directory, one after the other.
#[derive(Debug)]
pub(crate) struct Project {
    directory: TempDir,
    /// The directory in which Molecule is called, below it.
    inner: PathBuf,
}

/// Who calls Ansible and pytest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Takelage,
    Molecule,
}

/// What was recorded.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) status: Option<i32>,
    pub(crate) calls: Vec<Value>,
    pub(crate) said: String,
}

impl Project {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let project = Self::new("project".into());
        for (path, text) in files {
            let path = project.root().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        project
    }

    /// Copies a tree, with a scenario that any machine can create the containers of.
    pub(crate) fn copy(tree: &Path, scenario: &Scenario) -> Self {
        let inner = scenario.project.strip_prefix(tree).unwrap();
        let project = Self::new(Path::new("project").join(inner));
        let root = project.directory.path().join("project");
        let copied = Command::new("cp").arg("-a").arg(tree.join(".")).arg(&root).status().unwrap();
        assert!(copied.success());
        let file = root.join(scenario.file.strip_prefix(tree).unwrap());
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, Scenario::with_any_image(&text)).unwrap();
        project
    }

    fn new(inner: PathBuf) -> Self {
        let directory = tempfile::Builder::new().prefix("molecule-").tempdir().unwrap();
        for name in ["project", "home", "bin"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        Self { directory, inner }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join(&self.inner)
    }

    /// Puts the recorder in place of Ansible's and pytest's Python. Returns the directory with their programs.
    fn recorder(&self, bin: &Path) -> PathBuf {
        let own = self.directory.path().join("bin");
        let recorder = own.join("python3-recorder");
        let python = bin.join("python3").display().to_string();
        executable(&recorder, &format!("#!{python}\n{}", include_str!("recorder.py")));
        for program in ["ansible-playbook", "pytest"] {
            let real = fs::read_to_string(bin.join(program)).unwrap();
            let (_, script) = real.split_once('\n').unwrap();
            executable(&own.join(program), &format!("#!{}\n{script}", recorder.display()));
        }
        own
    }
}

fn executable(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl Side {
    /// Runs a command of Molecule's on the project and returns what was recorded.
    pub(crate) fn record(self, bin: &Path, project: &Project, arguments: &[&str]) -> Recorded {
        let place = |name: &str| project.directory.path().join(name);
        let log = place("log.jsonl");
        let _ = fs::remove_file(&log);
        let own = project.recorder(bin);
        let mut command = match self {
            Self::Takelage => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_takelage"));
                command.arg("--cache-dir").arg(place("cache")).arg("molecule");
                command
            }
            Self::Molecule => Command::new(bin.join("molecule")),
        };
        let output = command
            .args(arguments)
            .current_dir(project.root())
            .env_clear()
            .env("HOME", place("home"))
            .env("LANG", "C.UTF-8")
            .env("PATH", format!("{}:{}:/usr/bin:/bin", own.display(), bin.display()))
            .env("RECORDER_LOG", &log)
            .env("RECORDER_PYTHON", bin.join("python3"))
            .env("FROM_ENVIRONMENT", "environment")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let calls = fs::read_to_string(&log).unwrap_or_default();
        let calls = calls.lines().map(|line| normalise::call(self, project.directory.path(), line));
        let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        Recorded { status: output.status.code(), calls: calls.flatten().collect(), said: said.concat() }
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // A container that a failing comparison has left.
        let _ = Command::new(env!("CARGO_BIN_EXE_takelage"))
            .arg("--cache-dir")
            .arg(self.directory.path().join("cache"))
            .args(["molecule", "reset", "--all"])
            .current_dir(self.root())
            .output();
    }
}
