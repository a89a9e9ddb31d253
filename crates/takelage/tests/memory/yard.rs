//! The project that these tests work on.

use std::{collections::BTreeMap, ops::Deref, process::Command};

use serde_json::Value;

use crate::{
    files::{self, File},
    support::{Finished, TestProject},
};

/// The image that tests begin with: Debian with Python and sudo.
const BASE: &str = "takelwerk/takelslim:latest";

/// What every playbook begins with.
pub(crate) const PLAY: &str = "\
- hosts: all
  gather_facts: false
  vars: {ansible_python_interpreter: /usr/bin/python3}
  tasks:
";

/// Where programs are found.
#[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns what is missing of what all tests here need.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("the embedded engine as root needs root".to_owned());
    }
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if let Some(program) = ["docker", "ansible-playbook"].iter().find(|program| !runs(program)) {
        return Some(format!("there is no `{program}` on PATH"));
    }
    (!docker(&["image", "inspect", BASE]))
        .then(|| format!("there is no image `{BASE}`; `.ci/setup` makes it"))
}

fn docker(arguments: &[&str]) -> bool {
    Command::new("docker").args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Returns the names of a Docker engine's images that match a pattern.
fn images(pattern: &str) -> Vec<String> {
    let filter = format!("reference={pattern}");
    let list = ["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", &filter];
    let output = Command::new("docker").args(list).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// A project with one image, `app`, on one engine.
#[derive(Debug)]
pub(crate) struct Yard {
    project: TestProject,
    name: String,
}

/// What a run did with what was remembered.
#[derive(Debug)]
pub(crate) struct Produced {
    pub(crate) run: Finished,
    /// How steps ended: operation → outcome.
    pub(crate) steps: BTreeMap<String, String>,
    /// What `explain` says.
    pub(crate) explained: Value,
}

impl Yard {
    /// Makes a project whose playbook has these tasks.
    pub(crate) fn new(name: &str, engine: &str, tasks: &str) -> Self {
        Self::with(name, engine, tasks, "")
    }

    /// Makes a project with more keys in its project file: of the image where they are indented, else of the project.
    pub(crate) fn with(name: &str, engine: &str, tasks: &str, more: &str) -> Self {
        let name = format!("e2e-memory-{name}-{engine}");
        let file = format!(
            "name: {name}\nengine: {engine}\nimages:\n  app:\n    from: {BASE}\n    playbook: app.yml\n    \
             tags: ['takelage-e2e/{name}:1']\n{more}"
        );
        let yard = Self { project: TestProject::new().with("takelage.yml", &file), name };
        yard.tasks(tasks);
        yard
    }

    /// Replaces the tasks of the playbook.
    pub(crate) fn tasks(&self, tasks: &str) {
        let tasks = tasks.trim_end().replace('\n', "\n    ");
        self.write("app.yml", &format!("{PLAY}    {tasks}\n"));
    }

    /// Sets a variable for all runs that follow.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.project.set(name, value);
    }

    /// Produces the image, which must succeed.
    pub(crate) fn produce(&self) -> Produced {
        self.succeed(&["produce"])
    }

    /// Makes the container of `develop`, which must succeed.
    pub(crate) fn develop(&self) -> Produced {
        self.succeed(&["develop"])
    }

    fn succeed(&self, arguments: &[&str]) -> Produced {
        let run = self.run(arguments);
        assert_eq!(run.status, Some(0), "{run}");
        let finished = run.events.iter().filter(|event| event["event"] == "step_finished");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let steps =
            finished.map(|event| (text(&event["step"]["op"]), text(&event["outcome"]["outcome"]))).collect();
        Produced { run, steps, explained: self.explain() }
    }

    /// Returns what `explain` says of the image.
    pub(crate) fn explain(&self) -> Value {
        let explained = self.run(&["explain", "--json"]);
        assert_eq!(explained.status, Some(0), "{explained}");
        let explained: Value = serde_json::from_str(&explained.stdout).unwrap();
        explained["layers"][0]["last"].clone()
    }

    /// Returns what a command in the container of `develop` says.
    pub(crate) fn shell(&self, command: &str) -> String {
        let run = self.run(&["shell", "--", "/bin/sh", "-c", command]);
        assert_eq!(run.status, Some(0), "{run}");
        run.stdout
    }

    /// Returns the files of the image as it is now.
    pub(crate) fn files(&self) -> BTreeMap<String, File> {
        let archive = self.directory().join("app.tar");
        let run = self.run(&["save", "-o", archive.to_str().unwrap()]);
        assert_eq!(run.status, Some(0), "{run}");
        files::of_archive(&archive)
    }

    /// Returns what is in a file of the image.
    pub(crate) fn content(&self, path: &str) -> String {
        match self.files().get(path) {
            Some(File::Regular { content, .. }) => String::from_utf8_lossy(content).into_owned(),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// Produces the image again without memory, and checks that all files are as before.
    pub(crate) fn assert_as_without_memory(&self) {
        let remembered = self.files();
        let run = self.run(&["--no-cache", "produce"]);
        assert_eq!(run.status, Some(0), "{run}");
        let anew = self.files();
        let differing: Vec<_> = remembered
            .keys()
            .chain(anew.keys())
            .filter(|path| remembered.get(*path) != anew.get(*path))
            .map(|path| (path, remembered.get(path), anew.get(path)))
            .collect();
        assert!(differing.is_empty(), "{differing:#?}");
    }
}

impl Produced {
    /// Checks that nothing ran at all.
    pub(crate) fn assert_all_from_memory(&self) {
        for step in ["create", "converge", "commit"] {
            assert_eq!(self.steps[step], "cached", "{step}: {}", self.run);
        }
        assert_eq!(self.explained["reused"], self.explained["requests"], "{}", self.explained);
    }

    /// Returns the task of the first request that ran, and why it did.
    pub(crate) fn first(&self) -> (&str, &str) {
        let first = &self.explained["first"];
        let text = |key: &str| first[key].as_str().unwrap_or_default();
        (text("task"), text("because"))
    }
}

impl Deref for Yard {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.project
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        // Whatever failed, nothing outlives its test.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.run(&["destroy"]);
            self.run(&["prune"]);
            let names = [format!("takelage.local/{}-*/*", self.name), format!("takelage-e2e/{}", self.name)];
            for name in names.iter().flat_map(|name| images(name)) {
                docker(&["rmi", "--force", &name]);
            }
        }));
    }
}

impl Produced {
    /// Checks that all requests came from memory; the image may have been replaced by another run.
    pub(crate) fn assert_all_but_the_image_from_memory(&self) {
        assert_eq!(self.explained["reused"], self.explained["requests"], "{}", self.explained);
    }
}
