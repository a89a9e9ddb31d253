//! What happened, in the order it happened: facts that reports are made of.
//!
//! Every event carries all a report needs, so that a recorded log (`--events FILE`) says as much afterwards
//! as the terminal said during the run. Facts are never dropped; [`EventKind::Progress`] may be.
//! Secrets never get here: whoever emits a task's result has removed what `no_log` hides.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Digest, Exit, ImageName, RunId};

/// The version of this format, written into every event. It changes when a reader would misread.
pub const SCHEMA: u32 = 1;

/// One numbered event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// The run it belongs to.
    pub run: RunId,
    /// Counts from 0 without gaps; facts and progress share the count.
    pub index: u64,
    /// When it was emitted.
    pub at: Timestamp,
    /// Time since the run began.
    #[serde(with = "seconds")]
    pub elapsed: Duration,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The run began. Always the first event.
    RunStarted {
        /// The verb: `develop`, `produce`, `test`, …
        command: String,
        /// The project's name.
        project: String,
        /// The engine in use, with its version, and why it was chosen.
        engine: String,
        /// The version of takelage.
        version: String,
        /// The images this run is about, in the order of the chain.
        images: Vec<ImageName>,
    },
    /// A step began.
    StepStarted {
        /// Which one.
        step: Step,
    },
    /// A step ended.
    StepFinished {
        /// Which one.
        step: Step,
        /// How.
        outcome: Outcome,
        /// How long it took.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// Ansible began a play.
    Play {
        /// The step that runs Ansible.
        step: Step,
        /// The play's name.
        name: String,
        /// Its hosts, after the patterns were resolved.
        hosts: Vec<String>,
    },
    /// Ansible began a task, or a handler.
    Task {
        /// The step that runs Ansible.
        step: Step,
        /// The task.
        task: Task,
    },
    /// A task ended on a host, or one item of its loop did.
    TaskResult {
        /// The step that runs Ansible.
        step: Step,
        /// The task.
        task: Task,
        /// The inventory's host.
        host: String,
        /// The item's label, for one item of a loop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        item: Option<String>,
        /// How it ended.
        status: TaskStatus,
        /// What the module said, when there is something to say.
        #[serde(default, skip_serializing_if = "TaskOutput::is_empty")]
        output: TaskOutput,
        /// How long it took on this host; zero for items.
        #[serde(with = "seconds")]
        took: Duration,
    },
    /// Ansible's totals for one host, at the end of a playbook.
    Recap {
        /// The step that runs Ansible.
        step: Step,
        /// The inventory's host.
        host: String,
        /// The totals.
        totals: Totals,
    },
    /// A pytest check ended.
    Check {
        /// The step that runs pytest.
        step: Step,
        /// The check.
        check: Check,
    },
    /// A line that a program under takelage wrote and that is nobody's result.
    Output {
        /// The step during which it was written.
        step: Step,
        /// `ansible`, `pytest`, `dpkg`, …
        program: String,
        /// The line, without its end.
        line: String,
    },
    /// How far a long operation is. May be dropped.
    Progress {
        /// The step it belongs to.
        step: Step,
        /// What is counted, such as `download`.
        what: String,
        /// How much is done.
        done: u64,
        /// How much there is, when known.
        total: Option<u64>,
        /// `bytes`, or what is counted.
        unit: String,
    },
    /// Something the user should know.
    Note {
        /// How much it matters.
        level: Level,
        /// One sentence, without a final period.
        message: String,
        /// What to do, in the imperative.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// An image was produced and carries its tags.
    ImageProduced {
        /// Its name in the project file.
        image: ImageName,
        /// The digest of its configuration, which is its id.
        id: Digest,
        /// All its tags.
        tags: Vec<String>,
        /// Its unpacked size in bytes.
        size: u64,
    },
    /// A container was left running, because the command keeps it.
    ContainerKept {
        /// The image it belongs to.
        image: ImageName,
        /// Its name at the engine.
        name: String,
        /// The command that opens a shell in it.
        shell: String,
    },
    /// The run ended. Always the last event.
    RunFinished {
        /// How.
        exit: Exit,
    },
    /// An event of a newer takelage. Readers pass it over.
    #[serde(other)]
    Unknown,
}

/// One step of a run: an operation on an image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Step {
    /// The image.
    pub image: ImageName,
    /// The operation.
    pub op: Op,
    /// The layer, when the image has `layers:`; the playbook, when a scenario's sequence names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
}

/// The operations that steps are made of, in the order in which they may follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Install the roles and collections that a scenario needs.
    Dependency,
    /// Run the playbook that cleans up outside of the containers.
    Cleanup,
    /// Check the syntax of the playbooks.
    Syntax,
    /// Make a base image from packages.
    Bootstrap,
    /// Find the base image, or fetch it, and pin its digest.
    Resolve,
    /// Create and start a container.
    Create,
    /// Make a container fit for Ansible: install Python.
    Prepare,
    /// Run the playbook.
    Converge,
    /// Run the playbook again, expecting no change.
    Idempotence,
    /// Run the playbook without changing anything.
    Check,
    /// Run the playbook that disturbs the containers.
    SideEffect,
    /// Run the checks.
    Verify,
    /// Make an image of the container.
    Commit,
    /// Name the image.
    Tag,
    /// Write the image to a file.
    Save,
    /// Send the image to its registries.
    Push,
    /// Read what is in the image.
    Examine,
    /// Remove the container.
    Destroy,
}

impl Op {
    /// Returns the operation's name as users type and read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dependency => "dependency",
            Self::Cleanup => "cleanup",
            Self::Syntax => "syntax",
            Self::Bootstrap => "bootstrap",
            Self::Resolve => "resolve",
            Self::Create => "create",
            Self::Prepare => "prepare",
            Self::Converge => "converge",
            Self::Idempotence => "idempotence",
            Self::Check => "check",
            Self::SideEffect => "side-effect",
            Self::Verify => "verify",
            Self::Commit => "commit",
            Self::Tag => "tag",
            Self::Save => "save",
            Self::Push => "push",
            Self::Examine => "examine",
            Self::Destroy => "destroy",
        }
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Done; `summary` says what, such as `30 tasks, 12 changed`.
    Done {
        /// A few words, perhaps none.
        summary: String,
    },
    /// Nothing to do, because of what was done before.
    Cached {
        /// What made it unnecessary.
        reason: String,
    },
    /// Not done, on purpose.
    Skipped {
        /// Why.
        reason: String,
        /// What kind of reason that is.
        cause: SkipCause,
    },
    /// Failed.
    Failed {
        /// One sentence.
        message: String,
        /// What to do, in the imperative.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Given up because the run was interrupted.
    Aborted,
}

/// Why something is not done on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipCause {
    /// There is no need.
    Unneeded,
    /// The user switched it off.
    Disabled,
    /// What it would be done with is not there: a playbook, tests.
    Missing,
}

/// A task of a playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Ansible's id of the task; the same in all results of one task.
    pub id: String,
    /// Its name, rendered where possible, with the role in front.
    pub name: String,
    /// The module's full name.
    pub action: String,
    /// `FILE:LINE`, relative to the project where it lies inside.
    pub path: String,
    /// Whether it is a handler.
    #[serde(default)]
    pub handler: bool,
}

/// How a task ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// Nothing had to change.
    Ok,
    /// Something changed.
    Changed,
    /// A condition kept it from running.
    Skipped,
    /// It failed.
    Failed,
    /// It failed, and the play goes on because the task ignores it.
    Ignored,
    /// It failed inside a block whose rescue section runs now.
    Rescued,
    /// The host could not be reached.
    Unreachable,
}

/// What a module said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskOutput {
    /// The module's own message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Standard output of what it ran.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stdout: String,
    /// Standard error of what it ran.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// Exit status of what it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// What changed, as a unified diff, in diff mode.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
    /// Warnings that came with the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl TaskOutput {
    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Ansible's totals for one host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are Ansible's own")]
pub struct Totals {
    pub ok: u64,
    pub changed: u64,
    pub unreachable: u64,
    pub failed: u64,
    pub skipped: u64,
    pub rescued: u64,
    pub ignored: u64,
}

/// One pytest check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// pytest's node id, such as `tests/test_app.py::test_port[app]`.
    pub id: String,
    /// `FILE:LINE` of the test function, relative to the project where it lies inside.
    pub path: String,
    /// How it ended.
    pub status: CheckStatus,
    /// How long set-up, call and tear-down took together.
    #[serde(with = "seconds")]
    pub took: Duration,
    /// The reason for anything but `passed`, as pytest formats it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What the check printed, of anything but `passed`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// Whether it did not run, because it ended so before and nothing has changed since. `took` is what it took then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It held.
    Passed,
    /// It did not hold.
    Failed,
    /// Its set-up or tear-down, or the collection of its file, failed.
    Error,
    /// It was skipped.
    Skipped,
    /// It failed, as expected.
    XFailed,
    /// It held, although it was expected to fail.
    XPassed,
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Probably not what was wanted.
    Warning,
    /// The run fails because of it.
    Error,
}

/// Durations are written as seconds with a fraction.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((value.as_secs_f64() * 1e6).round() / 1e6)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_newer_version_is_passed_over() {
        let line = r#"{"schema":2,"run":"0011","index":3,"at":"2026-01-02T03:04:05Z","elapsed":1.5,"event":"teleported","to":"mars"}"#;
        let event: Event = serde_json::from_str(line).unwrap();
        assert_eq!((event.kind, event.elapsed), (EventKind::Unknown, Duration::from_millis(1500)));
    }

    #[test]
    fn events_round_trip() {
        let step = Step { image: "app".parse().unwrap(), op: Op::Converge, layer: None };
        let event = Event {
            schema: SCHEMA,
            run: RunId::from_random([1; 6]),
            index: 7,
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
            elapsed: Duration::from_millis(20),
            kind: EventKind::StepFinished {
                step,
                outcome: Outcome::Done { summary: "30 tasks".into() },
                took: Duration::from_millis(1250),
            },
        };
        let line = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}
