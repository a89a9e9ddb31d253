//! The report for CI systems, in the JUnit format as Jenkins and GitLab read it.
//!
//! | in takelage | in JUnit |
//! | --- | --- |
//! | a verify step | a suite `IMAGE.verify`, with every check as a case named as pytest's own report names it |
//! | a check that did not run again, because nothing has changed since | the same, with the property `cached` |
//! | a failed task | an error in the suite of its step, such as `IMAGE.converge` |
//! | a step that failed or was given up for another reason | an error in the suite of the step |

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use chrono::{DateTime, FixedOffset};
use indexmap::IndexMap;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use takelage_model::event::{
    Check, CheckStatus, Event, EventKind, Op, Outcome, Step, Task, TaskOutput, TaskStatus,
};

use crate::{clean, words};

/// Collects checks and failures, and writes them all at the end of the run.
pub struct Junit {
    path: PathBuf,
    suites: IndexMap<Step, TestSuite>,
    project: String,
    began: Option<DateTime<FixedOffset>>,
    elapsed: Duration,
}

impl Junit {
    /// Makes a report that [`finish`](Self::finish) writes to `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            suites: IndexMap::new(),
            project: String::new(),
            began: None,
            elapsed: Duration::ZERO,
        }
    }

    /// Takes one more event into account.
    pub fn handle(&mut self, event: &Event) {
        self.elapsed = self.elapsed.max(event.elapsed);
        match &event.kind {
            EventKind::RunStarted { project, .. } => {
                self.project.clone_from(project);
                self.began = timestamp(event);
            }
            EventKind::StepStarted { step } if step.op == Op::Verify => {
                let began = timestamp(event);
                let suite = self.suite(step);
                if let Some(began) = began.filter(|_| suite.timestamp.is_none()) {
                    suite.set_timestamp(began);
                }
            }
            EventKind::StepFinished { step, outcome, took } => self.end(step, outcome, *took),
            EventKind::TaskResult { step, task, host, item, status, output, took }
                if matches!(status, TaskStatus::Failed | TaskStatus::Unreachable) =>
            {
                let name = match item {
                    Some(item) => format!("{} ({item})", task.name),
                    None => task.name.clone(),
                };
                let mut case = TestCase::new(name, failed_task(task, host, *status, output));
                case.set_classname(task.action.clone()).set_time(*took);
                set_outputs(&mut case, &output.stdout, &output.stderr);
                self.suite(step).add_test_case(case);
            }
            EventKind::Check { step, check } => {
                self.suite(step).add_test_case(case(check));
            }
            EventKind::TaskResult { .. }
            | EventKind::StepStarted { .. }
            | EventKind::Play { .. }
            | EventKind::Task { .. }
            | EventKind::Recap { .. }
            | EventKind::Output { .. }
            | EventKind::Progress { .. }
            | EventKind::Note { .. }
            | EventKind::ImageProduced { .. }
            | EventKind::ContainerKept { .. }
            | EventKind::RunFinished { .. }
            | EventKind::Unknown => {}
        }
    }

    /// Writes the report, whole or not at all: readers never see half of one. Missing directories are made.
    ///
    /// Links are followed, and what is no file, such as a pipe or `/dev/stdout`, is written to and never replaced.
    pub fn finish(self) -> io::Result<()> {
        let path = match fs_err::metadata(&self.path) {
            Ok(there) if there.is_file() => fs_err::canonicalize(&self.path)?,
            Ok(_) => {
                let mut place = fs_err::OpenOptions::new().write(true).open(&self.path)?;
                let xml = self.report().to_string().map_err(io::Error::other)?;
                return place.write_all(xml.as_bytes());
            }
            Err(_) => self.path.clone(),
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        fs_err::create_dir_all(directory)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".junit-").suffix(".xml");
        readable(&mut builder);
        let mut file = builder.tempfile_in(directory)?;
        let xml = self.report().to_string().map_err(io::Error::other)?;
        file.write_all(xml.as_bytes())?;
        file.persist(&path)?;
        Ok(())
    }

    fn report(self) -> Report {
        let mut report = Report::new(self.project);
        report.set_time(self.elapsed);
        if let Some(began) = self.began {
            report.set_timestamp(began);
        }
        report.add_test_suites(self.suites.into_values());
        report
    }

    fn suite(&mut self, step: &Step) -> &mut TestSuite {
        self.suites.entry(step.clone()).or_insert_with(|| TestSuite::new(name(step)))
    }

    fn end(&mut self, step: &Step, outcome: &Outcome, took: Duration) {
        let message = match outcome {
            Outcome::Failed { message, .. } => Some(message.as_str()),
            Outcome::Aborted => Some("interrupted"),
            Outcome::Done { .. } | Outcome::Cached { .. } | Outcome::Skipped { .. } => None,
        };
        if let Some(message) = message {
            let suite = self.suite(step);
            // Failed tasks and checks are cases already; an interruption is one beside them.
            if suite.failures + suite.errors == 0 || matches!(outcome, Outcome::Aborted) {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
                status.set_message(clean::line(message));
                let mut case = TestCase::new(step.op.name(), status);
                case.set_classname(name(step)).set_time(took);
                suite.add_test_case(case);
            }
        }
        if let Some(suite) = self.suites.get_mut(step) {
            let before = suite.time.unwrap_or_default();
            suite.set_time(before + took);
        }
    }
}

impl fmt::Debug for Junit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Junit").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Gives the report the mode that any new file gets; a temporary file's own is for its owner alone.
fn readable(builder: &mut tempfile::Builder<'_, '_>) {
    use std::os::unix::fs::PermissionsExt as _;
    builder.permissions(std::fs::Permissions::from_mode(0o666));
}

fn timestamp(event: &Event) -> Option<DateTime<FixedOffset>> {
    DateTime::from_timestamp_millis(event.at.as_millisecond()).map(Into::into)
}

/// Returns `app.verify`, or `app.converge.system` for a layer.
fn name(step: &Step) -> String {
    let layer = step.layer.as_ref().map(|layer| format!(".{layer}")).unwrap_or_default();
    format!("{}.{}{layer}", step.image, step.op.name())
}

fn failed_task(task: &Task, host: &str, status: TaskStatus, output: &TaskOutput) -> TestCaseStatus {
    let mut result = TestCaseStatus::non_success(NonSuccessKind::Error);
    result.set_type(task.action.clone());
    result.set_message(first_line(&output.message));
    result.set_description(format!(
        "{} on {host}\n{}\n{}",
        words::task_status(status),
        task.path,
        clean::block(&output.message)
    ));
    result
}

/// Makes a case of a check, with class and name as pytest's own JUnit report has them.
fn case(check: &Check) -> TestCase {
    let mut status = match check.status {
        CheckStatus::Passed | CheckStatus::XPassed => TestCaseStatus::success(),
        CheckStatus::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        CheckStatus::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        CheckStatus::Skipped | CheckStatus::XFailed => TestCaseStatus::skipped(),
    };
    match check.status {
        CheckStatus::Passed | CheckStatus::XPassed => {}
        CheckStatus::Skipped | CheckStatus::XFailed => {
            status.set_message(clean::line(&check.message));
        }
        CheckStatus::Failed | CheckStatus::Error => {
            status.set_message(conclusion(&check.message));
            status.set_description(clean::block(&check.message));
        }
    }
    let (class, name) = class_and_name(&check.id);
    let mut case = TestCase::new(name, status);
    case.set_classname(class).set_time(check.took);
    if check.cached {
        case.add_property(("cached", "true"));
    }
    set_outputs(&mut case, &check.output, "");
    case
}

fn set_outputs(case: &mut TestCase, stdout: &str, stderr: &str) {
    if !stdout.is_empty() {
        case.set_system_out(clean::block(stdout));
    }
    if !stderr.is_empty() {
        case.set_system_err(clean::block(stderr));
    }
}

/// Splits `tests/test_app.py::TestWeb::test_port[a::b]` into `tests.test_app.TestWeb` and `test_port[a::b]`.
fn class_and_name(id: &str) -> (String, String) {
    let parameters = id.find('[').unwrap_or(id.len());
    let (path, name) = match id[..parameters].rfind("::") {
        Some(at) => (&id[..at], &id[at + 2..]),
        // A file that cannot be collected is a case of its own.
        None => ("", id),
    };
    let class = path.replace(".py", "").replace("::", ".").replace('/', ".");
    (class, clean::line(name))
}

/// Returns what pytest concludes: the first line that it marks with `E`, else the first line.
fn conclusion(message: &str) -> String {
    let message = clean::block(message);
    let marked = message.lines().find_map(|line| line.strip_prefix("E "));
    marked.map_or_else(|| first_line(&message), |line| line.trim().to_owned())
}

fn first_line(text: &str) -> String {
    clean::block(text).lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_split_as_pytest_splits_them() {
        let split = |id| class_and_name(id);
        assert_eq!(split("tests/test_app.py::test_x"), ("tests.test_app".into(), "test_x".into()));
        assert_eq!(
            split("tests/test_app.py::TestWeb::test_port[docker://a::b]"),
            ("tests.test_app.TestWeb".into(), "test_port[docker://a::b]".into())
        );
        assert_eq!(split("tests/broken.py"), (String::new(), "tests/broken.py".into()));
    }
}
