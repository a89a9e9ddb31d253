//! Watching a run while it runs, and disturbing it.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::Running;

/// How long anything may take that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Returns the events of a log so far. A line that is not yet written to its end is left out.
pub(crate) fn events(log: &Path) -> Vec<Value> {
    let text = fs_err::read_to_string(log).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

impl Running {
    /// Returns what happened so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        events(&self.record.with_extension("jsonl"))
    }

    /// Waits until something happened.
    pub(crate) fn wait_for(&mut self, what: &str, happened: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.events().iter().any(&happened) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended before {what}: {:#?}", self.events());
            assert!(Instant::now() < deadline, "{what} did not happen: {:#?}", self.events());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a step began.
    pub(crate) fn wait_for_step(&mut self, op: &str) {
        self.wait_for(op, |event| event["event"] == "step_started" && event["step"]["op"] == op);
    }

    /// Waits until Ansible began a task.
    pub(crate) fn wait_for_task(&mut self, name: &str) {
        self.wait_for(name, |event| event["event"] == "task" && event["task"]["name"] == name);
    }

    /// Sends a signal to takelage alone, not to what it started.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}
