//! Events as lines, for people.
//!
//! Every line begins with its image, because images are made side by side and their lines interleave.

use std::collections::{HashMap, VecDeque};

use takelage_model::event::{
    Check, CheckStatus, Event, EventKind, Level, Outcome, Step, Task, TaskOutput, TaskStatus,
};
use takelage_model::{Digest, ImageName};

use crate::style::{Role, Style};
use crate::{Summary, clean, failure, table, words};

/// As many lines of a program's output are shown when its step fails without another explanation.
const TAIL: usize = 40;

/// Makes lines of events.
#[derive(Debug)]
pub(crate) struct Lines {
    style: Style,
    tails: HashMap<Step, VecDeque<String>>,
}

impl Lines {
    /// Makes lines in `style`.
    pub(crate) fn new(style: Style) -> Self {
        Self { style, tails: HashMap::new() }
    }

    /// Returns what there is to say about `event`, which `summary` has taken into account already: nothing, or
    /// whole lines.
    pub(crate) fn render(&mut self, event: &Event, summary: &Summary) -> String {
        match &event.kind {
            EventKind::RunStarted { command, project, engine, version, images } => self.at(0, || {
                let images: Vec<_> = images.iter().map(ImageName::as_str).collect();
                let what = if images.is_empty() { String::new() } else { format!(" {}", images.join(", ")) };
                clean::line(&format!("{project}: {command}{what} with {engine} (takelage {version})")) + "\n"
            }),
            // The live display shows what runs.
            EventKind::StepStarted { .. } if self.style.live => String::new(),
            EventKind::StepStarted { step } => self.at(0, || format!("{} ...\n", self.head(step))),
            EventKind::StepFinished { step, outcome, took } => {
                let tail = self.tails.remove(step).unwrap_or_default();
                let explained =
                    summary.find(step).is_some_and(|found| found.tasks.failed + found.checks.failed > 0);
                self.step_finished(step, outcome, &words::duration(*took), tail, explained)
            }
            EventKind::Play { step, name, hosts } => self.at(1, || {
                let hosts = if hosts.is_empty() { "no hosts".to_owned() } else { hosts.join(", ") };
                format!("{}: play {}\n", self.head(step), clean::line(&format!("{name} ({hosts})")))
            }),
            EventKind::TaskResult { step, task, host, item, status, output, took } => {
                let took = if took.is_zero() { String::new() } else { words::duration(*took) };
                self.task_result(step, task, host, item.as_deref(), *status, output, &took)
            }
            EventKind::Recap { step, host, totals } => self.at(1, || {
                format!(
                    "{}: {}: ok={} changed={} unreachable={} failed={} skipped={} rescued={} ignored={}\n",
                    self.head(step),
                    clean::line(host),
                    totals.ok,
                    totals.changed,
                    totals.unreachable,
                    totals.failed,
                    totals.skipped,
                    totals.rescued,
                    totals.ignored
                )
            }),
            EventKind::Check { step, check } => self.check(step, check),
            EventKind::Output { step, program, line } => {
                let line = clean::line(&format!("{program}: {line}"));
                let shown = self.at(1, || format!("{}: {line}\n", self.head(step)));
                let tail = self.tails.entry(step.clone()).or_default();
                if tail.len() == TAIL {
                    tail.pop_front();
                }
                tail.push_back(line);
                shown
            }
            EventKind::Note { level, message, hint } => self.note(*level, message, hint.as_deref()),
            EventKind::ImageProduced { image, id, tags, size } => {
                self.at(0, || self.produced(image, id, tags, *size))
            }
            EventKind::ContainerKept { image, name, shell } => self.kept(image, name, shell, summary),
            EventKind::RunFinished { .. } => table::render(self.style, summary),
            EventKind::Task { .. } | EventKind::Progress { .. } | EventKind::Unknown => String::new(),
        }
    }

    /// Returns the lines from this verbosity on, and none below.
    fn at(&self, verbosity: i8, lines: impl FnOnce() -> String) -> String {
        if self.style.verbosity >= verbosity { lines() } else { String::new() }
    }

    /// Returns `app: converge`.
    fn head(&self, step: &Step) -> String {
        format!(
            "{}: {}",
            self.style.paint(Role::Strong, step.image.as_str()),
            clean::line(&words::operation(step))
        )
    }

    fn step_finished(
        &self,
        step: &Step,
        outcome: &Outcome,
        took: &str,
        tail: VecDeque<String>,
        explained: bool,
    ) -> String {
        let head = self.head(step);
        let because =
            |text: &str| if text.is_empty() { String::new() } else { format!(" ({})", clean::line(text)) };
        match outcome {
            Outcome::Done { summary } => self.at(0, || {
                format!("{head}: {} in {took}{}\n", self.style.paint(Role::Good, "done"), because(summary))
            }),
            Outcome::Cached { reason } => self
                .at(0, || format!("{head}: {}{}\n", self.style.paint(Role::Good, "cached"), because(reason))),
            Outcome::Skipped { reason, .. } => self.at(0, || {
                format!("{head}: {}{}\n", self.style.paint(Role::Faint, "skipped"), because(reason))
            }),
            Outcome::Failed { message, hint } => {
                let plain = format!("{}: {}", step.image, words::operation(step));
                let said = if message.is_empty() { String::new() } else { format!(": {message}") };
                let mut text = failure::message(
                    self.style,
                    "error",
                    &format!("{plain} failed after {took}{said}"),
                    None,
                );
                // At higher verbosities the lines were shown when they came.
                if !explained && self.style.verbosity < 1 {
                    let lines: Vec<_> = tail.into();
                    text.push_str(&failure::section(self.style, "last lines", &lines.join("\n")));
                }
                if let Some(hint) = hint {
                    text.push_str(&failure::hint(self.style, hint));
                }
                text
            }
            Outcome::Aborted => self.at(0, || {
                format!("{head}: {} after {took}\n", self.style.paint(Role::Notable, "interrupted"))
            }),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event, in its order")]
    fn task_result(
        &self,
        step: &Step,
        task: &Task,
        host: &str,
        item: Option<&str>,
        status: TaskStatus,
        output: &TaskOutput,
        took: &str,
    ) -> String {
        let (verbosity, role) = match status {
            TaskStatus::Failed | TaskStatus::Unreachable => {
                return failure::task(self.style, step, task, host, item, status, output);
            }
            // Its items say the same, only more often.
            TaskStatus::Changed if item.is_some() => (1, Role::Notable),
            TaskStatus::Changed | TaskStatus::Ignored | TaskStatus::Rescued => (0, Role::Notable),
            TaskStatus::Ok => (1, Role::Good),
            TaskStatus::Skipped => (1, Role::Faint),
        };
        let mut text = self.at(verbosity, || {
            let item = item.map(|item| format!(" ({item})")).unwrap_or_default();
            let on = if host == step.image.as_str() { String::new() } else { format!(" on {host}") };
            let name = clean::line(&format!("{}{item}{on}", task.name));
            let took = if took.is_empty() { String::new() } else { format!(" ({took})") };
            let status = self.style.paint(role, words::task_status(status));
            format!("{}: {status}: {name}{took}\n", self.head(step))
        });
        if matches!(status, TaskStatus::Ignored | TaskStatus::Rescued) {
            text.push_str(&self.at(0, || clean::indented(&output.message, "    ")));
        }
        if self.style.verbosity >= 2 {
            text.push_str(&failure::written(self.style, output));
        } else if self.style.verbosity >= verbosity {
            // A diff and warnings are there because they were asked for, or because they matter.
            let rest = TaskOutput {
                diff: output.diff.clone(),
                warnings: output.warnings.clone(),
                ..TaskOutput::default()
            };
            text.push_str(&failure::written(self.style, &rest));
        }
        text
    }

    fn check(&self, step: &Step, check: &Check) -> String {
        let (verbosity, role) = match check.status {
            CheckStatus::Failed | CheckStatus::Error => return failure::check(self.style, step, check),
            CheckStatus::Passed => (1, Role::Good),
            CheckStatus::XFailed => (1, Role::Faint),
            CheckStatus::Skipped => (0, Role::Faint),
            CheckStatus::XPassed => (0, Role::Notable),
        };
        self.at(verbosity, || {
            let status = self.style.paint(role, words::check_status(check.status));
            let status = if check.cached { format!("{status}, cached") } else { status };
            let reason = check.message.trim();
            let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            format!("{}: {status}: {}\n", self.head(step), clean::line(&format!("{}{reason}", check.id)))
        })
    }

    fn note(&self, level: Level, message: &str, hint: Option<&str>) -> String {
        let (verbosity, word) = match level {
            Level::Info => (0, "note"),
            Level::Warning => (0, "warning"),
            Level::Error => (-1, "error"),
        };
        self.at(verbosity, || failure::message(self.style, word, message, hint))
    }

    fn produced(&self, image: &ImageName, id: &Digest, tags: &[String], size: u64) -> String {
        let tags = if tags.is_empty() { String::new() } else { format!(": {}", tags.join(", ")) };
        let tags = clean::line(&tags);
        let size = indicatif::DecimalBytes(size);
        format!("{}: image {} ({size}){tags}\n", self.style.paint(Role::Strong, image.as_str()), id.short())
    }

    /// After a failure the way into the container is the advice; otherwise it is the result.
    fn kept(&self, image: &ImageName, name: &str, shell: &str, summary: &Summary) -> String {
        if summary.failed(image) {
            let text = format!(
                "the container `{name}` of {image} is as it failed; open a shell in it with `{shell}`"
            );
            return failure::hint(self.style, &text);
        }
        self.at(0, || {
            let image = self.style.paint(Role::Strong, image.as_str());
            format!("{image}: {}\n", clean::line(&format!("container {name} is kept; shell: {shell}")))
        })
    }
}
