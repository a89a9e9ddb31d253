//! What runs now, on a terminal: one line per image below the lines that stay.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{DecimalBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use takelage_model::ImageName;
use takelage_model::event::{Event, EventKind, Step};

use crate::style::{Role, Style};
use crate::{clean, words};

/// How often elapsed times move on.
const TICK: Duration = Duration::from_millis(200);

/// The running images.
#[derive(Debug)]
pub(crate) struct Live {
    style: Style,
    area: MultiProgress,
    running: BTreeMap<ImageName, (Step, ProgressBar)>,
}

impl Live {
    /// Draws to `target`.
    pub(crate) fn new(style: Style, target: ProgressDrawTarget) -> Self {
        Self { style, area: MultiProgress::with_draw_target(target), running: BTreeMap::new() }
    }

    /// Takes one more event into account.
    pub(crate) fn handle(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StepStarted { step } => self.begin(step),
            EventKind::StepFinished { step, .. } => self.end(step),
            EventKind::Task { step, task } => self.show(step, &clean::line(&task.name)),
            EventKind::Check { step, check } => self.show(step, &clean::line(&check.id)),
            EventKind::Output { step, program, line } => {
                self.show(step, &clean::line(&format!("{program}: {line}")));
            }
            EventKind::Progress { step, what, done, total, unit } => {
                let amount = |number: u64| match unit.as_str() {
                    "bytes" => DecimalBytes(number).to_string(),
                    _ => number.to_string(),
                };
                let of = total.map(|total| format!(" of {}", amount(total))).unwrap_or_default();
                let unit = if unit == "bytes" { String::new() } else { format!(" {unit}") };
                self.show(step, &clean::line(&format!("{what}: {}{of}{unit}", amount(*done))));
            }
            EventKind::RunFinished { .. } => self.clear(),
            EventKind::RunStarted { .. }
            | EventKind::Play { .. }
            | EventKind::TaskResult { .. }
            | EventKind::Recap { .. }
            | EventKind::Note { .. }
            | EventKind::ImageProduced { .. }
            | EventKind::ContainerKept { .. }
            | EventKind::Unknown => {}
        }
    }

    /// Calls `write` while the running lines are out of the way.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.area.suspend(write)
    }

    /// Takes all running lines away.
    pub(crate) fn clear(&mut self) {
        for (_, bar) in std::mem::take(&mut self.running).into_values() {
            bar.finish_and_clear();
            self.area.remove(&bar);
        }
    }

    fn begin(&mut self, step: &Step) {
        self.end_of_image(&step.image);
        let bar = self.area.add(ProgressBar::new_spinner().with_style(layout()));
        let image = self.style.paint(Role::Strong, step.image.as_str());
        bar.set_prefix(format!("{image}: {}", clean::line(&words::operation(step))));
        bar.enable_steady_tick(TICK);
        self.running.insert(step.image.clone(), (step.clone(), bar));
    }

    fn show(&self, step: &Step, message: &str) {
        if let Some((_, bar)) = self.running.get(&step.image) {
            bar.set_message(message.to_owned());
        }
    }

    fn end(&mut self, step: &Step) {
        if self.running.get(&step.image).is_some_and(|(running, _)| running == step) {
            self.end_of_image(&step.image);
        }
    }

    fn end_of_image(&mut self, image: &ImageName) {
        if let Some((_, bar)) = self.running.remove(image) {
            bar.finish_and_clear();
            self.area.remove(&bar);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Elapsed time, image and step, and as much of the task as the line has room for.
fn layout() -> ProgressStyle {
    ProgressStyle::with_template("{elapsed:>4} {prefix} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}
