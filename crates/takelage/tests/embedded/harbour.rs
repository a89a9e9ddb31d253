//! The project that these tests work on, and the certainty that nothing of it remains on the host.

use std::{
    ops::Deref,
    process::Command,
    time::{Duration, Instant},
};

use fs_err as fs;

use crate::support::{Finished, TestProject};

/// The image that tests begin with: Debian with Python.
const BASE: &str = "takelwerk/takelslim:latest";

const PLAYBOOK: &str = "\
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

/// Where programs are found.
#[expect(clippy::disallowed_methods, reason = "a test is its own caller")]
pub(crate) fn path() -> String {
    std::env::var("PATH").unwrap_or_default()
}

/// Returns what is missing of what all tests here need.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("the embedded engine as root needs root".to_owned());
    }
    let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if let Some(program) = ["docker", "ansible-playbook", "pytest"].iter().find(|program| !runs(program)) {
        return Some(format!("there is no `{program}` on PATH"));
    }
    let there = Command::new("docker").args(["image", "inspect", BASE]).output();
    (!there.is_ok_and(|output| output.status.success()))
        .then(|| format!("there is no image `{BASE}`; `.ci/setup` makes it"))
}

/// A project with one image, `app`, on the embedded engine.
#[derive(Debug)]
pub(crate) struct Harbour(TestProject);

impl Harbour {
    pub(crate) fn new(name: &str) -> Self {
        let file = format!(
            "name: {name}\nengine: embedded\nimages:\n  app:\n    from: {BASE}\n    playbook: app.yml\n    tests: tests\n    \
             config: {{cmd: [sleep, infinity]}}\n    tags: [takelage-e2e/{name}:1]\n"
        );
        let project = TestProject::new()
            .with("takelage.yml", &file)
            .with("app.yml", PLAYBOOK)
            .with("tests/test_app.py", CHECKS);
        Self(project)
    }

    /// Adds tasks to the playbook.
    pub(crate) fn tasks(&self, tasks: &str) {
        self.write("app.yml", &format!("{PLAYBOOK}    {}\n", tasks.replace('\n', "\n    ")));
    }

    /// Runs takelage, which must succeed.
    pub(crate) fn succeed(&self, arguments: &[&str]) -> Finished {
        let run = self.run(arguments);
        assert_eq!(run.status, Some(0), "{run}");
        run
    }

    /// Returns the ids of the containers that there are.
    pub(crate) fn containers(&self) -> Vec<String> {
        let list = fs::read_dir(self.directory().join("cache/engine-v1/v1/containers")).unwrap();
        list.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Returns the process id of the one container's monitor.
    pub(crate) fn monitor(&self) -> i32 {
        let containers = self.containers();
        assert_eq!(containers.len(), 1, "{containers:?}");
        let path =
            self.directory().join("cache/engine-v1/v1/containers").join(&containers[0]).join("running.json");
        let running: serde_json::Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        running["monitor"].as_i64().unwrap().try_into().unwrap()
    }

    /// Checks that no container, process, mount, control group or temporary file of the project is left.
    pub(crate) fn assert_nothing_remains(&self) {
        let left = || {
            let mut left: Vec<String> = self.containers();
            left.extend(self.processes());
            let place = self.directory().to_string_lossy().into_owned();
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            left.extend(mounts.lines().filter(|line| line.contains(&place)).map(str::to_owned));
            for directory in ["tmp", "cache/scratch-v1", "cache/runs-v1", "cache/engine-v1/trash"] {
                let entries = fs::read_dir(self.directory().join(directory)).unwrap();
                left.extend(entries.map(|entry| entry.unwrap().path().display().to_string()));
            }
            left
        };
        // What was killed may take a moment to be gone.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !left().is_empty() {
            assert!(Instant::now() < deadline, "{:#?}", left());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Returns the directories of the container's control groups.
    pub(crate) fn groups(id: &str) -> Vec<String> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
        let groups = hierarchies.chain(["/sys/fs/cgroup".into()]).map(|path| path.join("takelage").join(id));
        groups.filter(|path| path.exists()).map(|path| path.display().to_string()).collect()
    }

    /// The command lines of all processes that work in the project's directory.
    fn processes(&self) -> Vec<String> {
        let of = |process: fs::DirEntry| {
            let directory = fs::read_link(process.path().join("cwd")).ok()?;
            directory
                .starts_with(self.directory())
                .then(|| fs::read_to_string(process.path().join("cmdline")).unwrap_or_default())
        };
        fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter_map(of).collect()
    }
}

impl Deref for Harbour {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.0
    }
}

impl std::ops::DerefMut for Harbour {
    fn deref_mut(&mut self) -> &mut TestProject {
        &mut self.0
    }
}

impl Drop for Harbour {
    fn drop(&mut self) {
        // Whatever failed, no container outlives its test.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run(&["destroy"])));
    }
}
