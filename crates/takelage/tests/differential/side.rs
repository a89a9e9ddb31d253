//! One of the two sides: a copy of the project, a container, and the programs that work on it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use fs_err as fs;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    BASE,
    filesystem::{self, Files},
    normalise,
    results::Results,
    stock::StockContainer,
};

/// How the playbook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By `--check`.
    Check,
    /// On a new container.
    First,
    /// On a container that it was run on, without what is tagged `once`.
    Again,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    Stock,
}

/// A side. Its container is removed with it.
#[derive(Debug)]
pub(crate) struct Side {
    kind: Kind,
    directory: TempDir,
    container: String,
    /// What keeps the container of the stock side.
    stock: Option<StockContainer>,
}

/// Says what is missing, if anything is.
pub(crate) fn possible() -> Result<(), String> {
    for (program, arguments, what) in [
        (
            "docker",
            vec!["image", "inspect", BASE],
            "Docker's image `takelage-difftest/base:bookworm`, see .ci/setup",
        ),
        ("ansible-playbook", vec!["--version"], "`ansible-playbook`"),
        (
            "ansible-doc",
            vec!["-t", "connection", "community.docker.docker"],
            "Ansible's collection `community.docker`",
        ),
        ("pytest", vec!["--version"], "`pytest`"),
    ] {
        let ran = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        if !ran.is_ok_and(|output| output.status.success()) {
            return Err(format!("there is no {what}"));
        }
    }
    Ok(())
}

impl Side {
    /// Has takelage create its container.
    pub(crate) fn ours() -> Self {
        let mut side = Self::new(Kind::Ours);
        side.takelage(&["create"]).done();
        let list = side.takelage(&["list", "--json"]).done();
        let list: Value = serde_json::from_slice(&list.stdout).unwrap();
        side.container.push_str(list["images"][0]["container"].as_str().unwrap());
        side
    }

    /// Has Docker create a container like it.
    pub(crate) fn stock() -> Self {
        let mut side = Self::new(Kind::Stock);
        side.container =
            format!("takelage-difftest-{}", side.directory.path().file_name().unwrap().display());
        // The inventory's host name is the host's name on both sides.
        side.stock = Some(StockContainer::start(side.container.clone(), "target", BASE));
        let host =
            json!({"ansible_connection": "community.docker.docker", "ansible_docker_host": side.container});
        let inventory = json!({"all": {"children": {"harbour": {"hosts": {"target": host}}}}});
        fs::write(side.path("inventory.yml"), inventory.to_string()).unwrap();
        side
    }

    fn new(kind: Kind) -> Self {
        let directory = tempfile::Builder::new().prefix("difftest-").tempdir().unwrap();
        let side = Self { kind, directory, container: String::new(), stock: None };
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/project");
        for name in ["home", "scratch", "cache"] {
            fs::create_dir(side.path(name)).unwrap();
        }
        let copied = Command::new("cp").arg("-a").arg(project).arg(side.path("project")).status();
        assert!(copied.unwrap().success());
        side
    }

    /// Runs the playbook and returns all its results.
    pub(crate) fn play(&self, mode: Mode) -> Results {
        // Each run leaves its own.
        for name in ["registered.json", "record.jsonl"] {
            let path = self.path(if name == "record.jsonl" { name } else { "scratch/registered.json" });
            if path.exists() {
                fs::remove_file(path).unwrap();
            }
        }
        let mut command = match self.kind {
            Kind::Ours => self.takelage_command(&[if mode == Mode::Check { "check" } else { "converge" }]),
            Kind::Stock => {
                let inventory = self.path("inventory.yml").display().to_string();
                let scratch = format!("scratch={}", self.path("scratch").display());
                let mut arguments =
                    vec!["--inventory", &inventory, "--vault-password-file", "vault-password"];
                arguments.extend(["--extra-vars", &scratch, "playbook.yml"]);
                if mode == Mode::Check {
                    // `takelage check` shows differences, which is what it is for.
                    arguments.extend(["--check", "--diff"]);
                }
                let mut command = self.command("ansible-playbook");
                command.args(arguments);
                command
            }
        };
        if mode == Mode::Again {
            command.env("ANSIBLE_SKIP_TAGS", "once");
        }
        Ran::of(&mut command).done();
        Results::read(self.directory.path())
    }

    /// Returns all files of the container.
    pub(crate) fn files(&self) -> Files {
        let mut command = self.command("docker");
        let mut export = command.args(["export", &self.container]).stdout(Stdio::piped()).spawn().unwrap();
        let files = filesystem::of_archive(export.stdout.take().unwrap());
        assert!(export.wait().unwrap().success());
        files
    }

    /// Returns what the playbook left on this host.
    pub(crate) fn fetched(&self) -> Files {
        filesystem::of_directory(&self.path("scratch"))
    }

    /// Runs the checks on this side's container, by takelage and by pytest alone, and returns both values.
    pub(crate) fn values(&self) -> [Value; 2] {
        let read = || normalise::json(&fs::read_to_string(self.path("values.json")).unwrap());
        self.takelage(&["verify"]).done();
        let ours = read();
        fs::remove_file(self.path("values.json")).unwrap();
        let host = format!("--hosts=docker://{}", self.container);
        self.run("pytest", &["-p", "no:cacheprovider", &host, "tests"]).done();
        [ours, read()]
    }

    fn takelage(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.takelage_command(arguments))
    }

    fn takelage_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_takelage"));
        command.arg("--cache-dir").arg(self.path("cache")).args(arguments);
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        Ran::of(self.command(program).args(arguments))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("project"))
            .stdin(Stdio::null())
            .env("HOME", self.path("home"))
            .env("LC_ALL", "C.UTF-8")
            // takelage's connection has it by default; a task each is run with it and without it.
            .env("ANSIBLE_PIPELINING", "1")
            .env("DIFFERENTIAL_RECORD", self.path("record.jsonl"))
            .env("DIFFERENTIAL_SCRATCH", self.path("scratch"))
            .env("DIFFERENTIAL_VALUES", self.path("values.json"));
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        match self.kind {
            Kind::Ours => drop(self.takelage(&["destroy"])),
            Kind::Stock => drop(self.stock.take()),
        }
    }
}

/// A program that ended, with its command line.
struct Ran(Output, String);

impl Ran {
    fn of(command: &mut Command) -> Self {
        Self(command.output().unwrap(), format!("{command:?}"))
    }

    /// Returns its output if it succeeded.
    #[track_caller]
    fn done(self) -> Output {
        let Self(output, line) = self;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{line}\n{}\n{}", text(&output.stdout), text(&output.stderr));
        output
    }
}
