//! What the Python side reports, and how it becomes an event.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use takelage_model::event::{Check, EventKind, Level, Step, Task, TaskOutput, TaskStatus, Totals};

/// A message of the callback plugin, the launcher or the pytest plugin. Paths are absolute in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Report {
    /// A play began.
    Play { name: String, hosts: Vec<String> },
    /// A play's pattern matches no host.
    NoHosts { pattern: String, hosts: Vec<String>, groups: Vec<String> },
    /// A task began.
    Task { task: Task },
    /// A task or an item of its loop ended on a host. `took` is in seconds.
    Result {
        task: Task,
        host: String,
        #[serde(default)]
        item: Option<String>,
        status: TaskStatus,
        #[serde(default)]
        output: TaskOutput,
        #[serde(default)]
        took: f64,
    },
    /// A task is tried again or is being waited for.
    Again { task: Task, host: String, what: String, done: u64, total: Option<u64> },
    /// The totals of a host.
    Recap { host: String, totals: Totals },
    /// Ansible gave up with an exception of its own.
    Failure(Failure),
    /// A check ended, or a file could not be collected.
    Check { check: Check },
    /// pytest is done.
    Session { deselected: u64 },
    /// Something the user should know.
    Note { level: Level, message: String },
    /// A message of a newer version.
    #[serde(other)]
    Unknown,
}

/// Ansible's own exception, at the place in the user's files that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Failure {
    /// The exception's class, such as `AnsibleParserError`.
    pub class: String,
    /// Its message.
    pub message: String,
    /// The file it is about.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// The line, from 1.
    #[serde(default)]
    pub line: Option<u64>,
    /// The column, from 1.
    #[serde(default)]
    pub column: Option<u64>,
}

impl Report {
    /// Makes paths below `root` relative to it. `root` is absolute; both forms are tried, with links resolved and not.
    pub(super) fn relative_to(mut self, roots: &[PathBuf]) -> Self {
        match &mut self {
            Self::Task { task } | Self::Result { task, .. } | Self::Again { task, .. } => {
                shorten(&mut task.path, roots);
            }
            Self::Check { check } => shorten(&mut check.path, roots),
            Self::Failure(Failure { file: Some(file), .. }) => {
                if let Some(inner) = roots.iter().find_map(|root| file.strip_prefix(root).ok()) {
                    *file = inner.to_owned();
                }
            }
            _ => {}
        }
        self
    }

    /// Returns the event that tells users about it, if any does.
    pub(super) fn event(&self, step: &Step) -> Option<EventKind> {
        let step = step.clone();
        Some(match self.clone() {
            Self::Play { name, hosts } => EventKind::Play { step, name, hosts },
            Self::Task { task } => EventKind::Task { step, task },
            Self::Result { task, host, item, status, output, took } => {
                let took = Duration::try_from_secs_f64(took).unwrap_or_default();
                EventKind::TaskResult { step, task, host, item, status, output, took }
            }
            Self::Again { what, done, total, .. } => {
                EventKind::Progress { step, what, done, total, unit: "tries".to_owned() }
            }
            Self::Recap { host, totals } => EventKind::Recap { step, host, totals },
            Self::Check { check } => EventKind::Check { step, check },
            Self::Note { level, message } => EventKind::Note { level, message, hint: None },
            Self::NoHosts { .. } | Self::Failure(_) | Self::Session { .. } | Self::Unknown => return None,
        })
    }
}

/// Cuts a root off the front of `path`.
fn shorten(path: &mut String, roots: &[PathBuf]) {
    if let Some(inner) = roots.iter().find_map(|root| Path::new(path.as_str()).strip_prefix(root).ok()) {
        *path = inner.to_string_lossy().into_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step() -> Step {
        Step { image: "app".parse().unwrap(), op: takelage_model::event::Op::Converge, layer: None }
    }

    #[test]
    fn a_result_becomes_an_event_with_a_short_path() {
        let report: Report = serde_json::from_str(
            r#"{"kind": "result", "host": "app", "status": "changed", "took": 0.25,
                "task": {"id": "1", "name": "n", "action": "ansible.builtin.file", "path": "/project/site.yml:3"},
                "output": {"message": "done"}}"#,
        )
        .unwrap();
        let Some(EventKind::TaskResult { task, status, output, took, .. }) =
            report.relative_to(&["/project".into()]).event(&step())
        else {
            panic!("no result");
        };
        assert_eq!(task.path, "site.yml:3");
        assert_eq!(
            (status, output.message.as_str(), took),
            (TaskStatus::Changed, "done", Duration::from_millis(250))
        );
    }

    #[test]
    fn paths_outside_stay_and_unknown_kinds_pass() {
        let report: Report = serde_json::from_str(r#"{"kind": "weather"}"#).unwrap();
        assert_eq!(report.event(&step()), None);
        let mut path = "/elsewhere/x.yml:1".to_owned();
        shorten(&mut path, &["/work".into()]);
        assert_eq!(path, "/elsewhere/x.yml:1");
    }
}
