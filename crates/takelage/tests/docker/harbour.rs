//! The project that these tests work on, and the certainty that nothing of it remains.

use std::{
    cell::RefCell,
    ops::Deref,
    time::{Duration, Instant},
};

use fs_err as fs;
use rustix::process::Signal;
use takelage_model::{Digest, label};

use crate::{
    daemon::{BASE, can, lines},
    support::{Finished, Running, TestProject},
};

/// A project with one image, `app`. Dropping it removes every container and image that it has at the engine.
#[derive(Debug)]
pub(crate) struct Harbour {
    project: TestProject,
    /// The project's name, unlike that of any other test's.
    pub(crate) name: &'static str,
    others: RefCell<Vec<String>>,
}

/// Two tasks of which the second run changes nothing, without what makes Ansible slow.
pub(crate) const PLAYBOOK: &str = "\
- hosts: all
  gather_facts: false
  vars: {ansible_python_interpreter: /usr/bin/python3}
  tasks:
    - name: write the greeting
      ansible.builtin.copy: {content: \"ahoy\\n\", dest: /greeting}
    - name: open the harbour
      ansible.builtin.command: {cmd: mkdir /harbour, creates: /harbour}
";

const CHECKS: &str = "\
def test_greeting(host):
    assert host.file('/greeting').content_string == 'ahoy\\n'
";

impl Harbour {
    /// Makes the project with a command that stays.
    pub(crate) fn new(name: &'static str) -> Self {
        let file = format!(
            "name: {name}\nimages:\n  app:\n    from: {BASE}\n    playbook: app.yml\n    tests: tests\n    \
             config: {{cmd: [sleep, infinity]}}\n    tags: [takelage-e2e/{name}:1]\n"
        );
        Self::with_file(name, &file)
    }

    /// Makes the project with a project file of its own.
    pub(crate) fn with_file(name: &'static str, file: &str) -> Self {
        let project = TestProject::new()
            .with("takelage.yml", file)
            .with("app.yml", PLAYBOOK)
            .with("tests/test_app.py", CHECKS);
        Self { project, name, others: RefCell::default() }
    }

    /// Sets a variable for all runs that follow.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.project.set(name, value);
    }

    /// Replaces the tasks of the playbook.
    pub(crate) fn tasks(&self, tasks: &str) {
        let (head, _) = PLAYBOOK.split_once("    - name").unwrap();
        let tasks = tasks.replace('\n', "\n    ");
        self.write("app.yml", &format!("{head}    {tasks}\n"));
    }

    /// Runs takelage, which must succeed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Finished {
        let run = self.run(arguments);
        assert_eq!(run.status, Some(0), "{run}");
        run
    }

    /// Returns the project's identity, as in the names of its containers.
    pub(crate) fn id(&self) -> String {
        let place = self.root().canonicalize().unwrap();
        let digest = Digest::of(place.as_os_str().as_encoded_bytes());
        format!("{}-{}", self.name, &digest.hex()[..8])
    }

    /// Removes an image that a test made itself, when the project goes.
    pub(crate) fn remove_later(&self, image: &str) {
        self.others.borrow_mut().push(image.to_owned());
    }

    /// Returns the names of the project's containers.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("label={}={}", label::PROJECT, self.id());
        lines(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"])
    }

    /// Returns the images that have the project's label: those that a run makes on its way, and removes.
    pub(crate) fn interim_images(&self) -> Vec<String> {
        let label = format!("label={}={}", label::PROJECT, self.id());
        lines(&["images", "--quiet", "--filter", &label])
    }

    /// Returns the name of the container that `develop` keeps.
    pub(crate) fn kept(&self) -> String {
        format!("takelage-{}-app", self.id())
    }

    /// Checks that no container, no process and no temporary file of the project remains, except `containers`.
    pub(crate) fn assert_nothing_remains_but(&self, containers: &[String]) {
        assert_eq!(self.containers(), containers);
        // A killed process may take a moment to be gone.
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.processes().is_empty() {
            assert!(Instant::now() < deadline, "still running: {:?}", self.processes());
            std::thread::sleep(Duration::from_millis(50));
        }
        for directory in ["tmp", "cache/scratch-v1", "cache/runs-v1"] {
            let entries = fs::read_dir(self.directory().join(directory)).unwrap();
            let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            assert!(names.is_empty(), "{directory}: {names:?}");
        }
    }

    /// The command lines of all processes that have this project's environment.
    fn processes(&self) -> Vec<String> {
        let home = format!("HOME={}/home\0", self.directory().display());
        let ours = |process: fs::DirEntry| {
            // A process that is gone meanwhile, or another user's, is none of ours.
            let environment = fs::read(process.path().join("environ")).ok()?;
            String::from_utf8_lossy(&environment)
                .contains(&home)
                .then(|| fs::read_to_string(process.path().join("cmdline")).ok())?
        };
        fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter_map(ours).collect()
    }
}

impl Deref for Harbour {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.project
    }
}

impl Drop for Harbour {
    fn drop(&mut self) {
        // A test that fails half way must not panic again here.
        let containers = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.containers()));
        for container in containers.unwrap_or_default() {
            can(&["rm", "--force", "--volumes", &container]);
        }
        let names = [format!("takelage.local/{}/*", self.id()), format!("takelage-e2e/{}", self.name)];
        let filters: Vec<String> = names.iter().map(|name| format!("reference={name}")).collect();
        // Images go by their names only, because one without changes is the base by another name.
        let list = [
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            "--filter",
            &filters[0],
            "--filter",
            &filters[1],
        ];
        let images = std::panic::catch_unwind(|| lines(&list)).unwrap_or_default();
        // A commit that was aborted leaves an image without a name.
        let interim = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.interim_images()));
        let interim = interim.unwrap_or_default();
        // What was remembered has snapshots, of which the store has a list.
        let snapshots = fs::read_dir(self.directory().join("cache/memory-v1/snapshots"));
        let lists = snapshots.into_iter().flatten().flatten().map(|list| fs::read_to_string(list.path()));
        let snapshots =
            lists.flatten().flat_map(|list| list.lines().rev().map(str::to_owned).collect::<Vec<_>>());
        for image in images
            .iter()
            .chain(&interim)
            .cloned()
            .chain(snapshots)
            .chain(self.others.borrow().iter().cloned())
        {
            can(&["rmi", "--force", &image]);
        }
    }
}

impl Running {
    /// Interrupts the run, and checks that it ends soon, and that everything is gone but `kept`.
    pub(crate) fn interrupt(self, harbour: &Harbour, kept: &[String]) -> Finished {
        self.signal(Signal::INT);
        let asked = Instant::now();
        let run = self.finish();
        assert_eq!(run.status, Some(130), "{run}");
        assert!(asked.elapsed() < Duration::from_secs(30), "took {:?}: {run}", asked.elapsed());
        assert_eq!(run.events.last().unwrap()["exit"], "interrupted");
        harbour.assert_nothing_remains_but(kept);
        run
    }
}
