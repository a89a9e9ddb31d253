//! What a run came to.

use std::time::Duration;

use takelage_model::event::{CheckStatus, Event, EventKind, Outcome, Step, TaskStatus};
use takelage_model::{Digest, Exit, ImageName};

/// A run so far: per image its steps, durations, counts and results.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// The verb.
    pub command: String,
    /// The project's name.
    pub project: String,
    /// The images, in the order of the chain.
    pub images: Vec<ImageSummary>,
    /// What failed, in the order in which it did.
    pub failures: Vec<Failure>,
    /// Time since the run began.
    pub elapsed: Duration,
    /// How the run ended, once it did.
    pub exit: Option<Exit>,
}

/// What was done for one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageSummary {
    /// Its name in the project file.
    pub image: ImageName,
    /// Its steps, in the order in which they began.
    pub steps: Vec<StepSummary>,
    /// The image that was made, if one was.
    pub produced: Option<Produced>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSummary {
    /// Which one.
    pub step: Step,
    /// How it ended; none while it runs, and for good if the run ended before it.
    pub outcome: Option<Outcome>,
    /// How long it took.
    pub took: Duration,
    /// Its tasks, each counted once per host, whatever the number of items in its loop.
    pub tasks: Tasks,
    /// Its checks.
    pub checks: Checks,
}

/// Numbers of task results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tasks {
    /// Nothing had to change.
    pub ok: u64,
    /// Something changed.
    pub changed: u64,
    /// A condition kept it from running.
    pub skipped: u64,
    /// It failed, or the host was unreachable.
    pub failed: u64,
    /// It failed, and that was ignored or rescued.
    pub ignored: u64,
}

/// Numbers of checks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    /// It held, expectedly or not.
    pub passed: u64,
    /// It did not hold, or could not be carried out.
    pub failed: u64,
    /// It was skipped, or failed as expected.
    pub skipped: u64,
}

/// An image that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// Its id.
    pub id: Digest,
    /// All its tags.
    pub tags: Vec<String>,
    /// Its unpacked size in bytes.
    pub size: u64,
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Where in the run.
    pub step: Step,
    /// The task's name, the check's id, or the step's own message.
    pub what: String,
    /// `FILE:LINE`, for tasks and checks.
    pub path: Option<String>,
}

impl Summary {
    /// Takes one more event into account.
    pub fn add(&mut self, event: &Event) {
        self.elapsed = self.elapsed.max(event.elapsed);
        match &event.kind {
            EventKind::RunStarted { command, project, images, .. } => {
                self.command.clone_from(command);
                self.project.clone_from(project);
                for image in images {
                    self.image(image);
                }
            }
            EventKind::StepStarted { step } => {
                self.begin(step);
            }
            EventKind::StepFinished { step, outcome, took } => self.end(step, outcome, *took),
            EventKind::TaskResult { step, task, item: None, status, .. } => {
                let tasks = &mut self.step(step).tasks;
                *match status {
                    TaskStatus::Ok => &mut tasks.ok,
                    TaskStatus::Changed => &mut tasks.changed,
                    TaskStatus::Skipped => &mut tasks.skipped,
                    TaskStatus::Failed | TaskStatus::Unreachable => &mut tasks.failed,
                    TaskStatus::Ignored | TaskStatus::Rescued => &mut tasks.ignored,
                } += 1;
                if matches!(status, TaskStatus::Failed | TaskStatus::Unreachable) {
                    self.fail(step, &task.name, Some(&task.path));
                }
            }
            EventKind::Check { step, check } => {
                let checks = &mut self.step(step).checks;
                *match check.status {
                    CheckStatus::Passed | CheckStatus::XPassed => &mut checks.passed,
                    CheckStatus::Failed | CheckStatus::Error => &mut checks.failed,
                    CheckStatus::Skipped | CheckStatus::XFailed => &mut checks.skipped,
                } += 1;
                if matches!(check.status, CheckStatus::Failed | CheckStatus::Error) {
                    self.fail(step, &check.id, Some(&check.path));
                }
            }
            EventKind::ImageProduced { image, id, tags, size } => {
                let produced = Produced { id: *id, tags: tags.clone(), size: *size };
                self.image(image).produced = Some(produced);
            }
            EventKind::RunFinished { exit } => self.exit = Some(*exit),
            EventKind::TaskResult { item: Some(_), .. }
            | EventKind::Play { .. }
            | EventKind::Task { .. }
            | EventKind::Recap { .. }
            | EventKind::Output { .. }
            | EventKind::Progress { .. }
            | EventKind::Note { .. }
            | EventKind::ContainerKept { .. }
            | EventKind::Unknown => {}
        }
    }

    /// Returns what is known about a step that has begun.
    pub fn find(&self, step: &Step) -> Option<&StepSummary> {
        let image = self.images.iter().find(|image| image.image == step.image)?;
        image.steps.iter().rev().find(|found| found.step == *step)
    }

    /// Returns the sum of all steps' tasks.
    pub fn tasks(&self) -> Tasks {
        self.steps().fold(Tasks::default(), |sum, step| sum.plus(step.tasks))
    }

    /// Returns the sum of all steps' checks.
    pub fn checks(&self) -> Checks {
        self.steps().fold(Checks::default(), |sum, step| sum.plus(step.checks))
    }

    /// Whether something of `image` failed.
    pub fn failed(&self, image: &ImageName) -> bool {
        self.failures.iter().any(|failure| failure.step.image == *image)
    }

    fn steps(&self) -> impl Iterator<Item = &StepSummary> {
        self.images.iter().flat_map(|image| &image.steps)
    }

    fn image(&mut self, name: &ImageName) -> &mut ImageSummary {
        let known = self.images.iter().position(|image| image.image == *name);
        let index = known.unwrap_or_else(|| {
            self.images.push(ImageSummary { image: name.clone(), steps: Vec::new(), produced: None });
            self.images.len() - 1
        });
        &mut self.images[index]
    }

    /// Adds a step. The same one may begin again: `test` verifies what `produce` verified before it.
    fn begin(&mut self, step: &Step) -> &mut StepSummary {
        let steps = &mut self.image(&step.image).steps;
        let index = steps.len();
        steps.push(StepSummary {
            step: step.clone(),
            outcome: None,
            took: Duration::ZERO,
            tasks: Tasks::default(),
            checks: Checks::default(),
        });
        &mut steps[index]
    }

    /// Returns the step as it runs. A log whose beginning was lost still gives a summary.
    fn step(&mut self, step: &Step) -> &mut StepSummary {
        let steps = &self.image(&step.image).steps;
        match steps.iter().rposition(|found| found.step == *step && found.outcome.is_none()) {
            Some(index) => &mut self.image(&step.image).steps[index],
            None => self.begin(step),
        }
    }

    fn end(&mut self, step: &Step, outcome: &Outcome, took: Duration) {
        let ended = self.step(step);
        ended.outcome = Some(outcome.clone());
        ended.took = took;
        let explained = ended.tasks.failed + ended.checks.failed > 0;
        if let Outcome::Failed { message, .. } = outcome
            && !explained
        {
            self.fail(step, message, None);
        }
    }

    fn fail(&mut self, step: &Step, what: &str, path: Option<&str>) {
        let path = path.map(str::to_owned).filter(|path| !path.is_empty());
        self.failures.push(Failure { step: step.clone(), what: what.to_owned(), path });
    }
}

impl Tasks {
    /// Returns how many results there are.
    pub const fn total(self) -> u64 {
        self.ok + self.changed + self.skipped + self.failed + self.ignored
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            ok: self.ok + other.ok,
            changed: self.changed + other.changed,
            skipped: self.skipped + other.skipped,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl Checks {
    /// Returns how many checks there are.
    pub const fn total(self) -> u64 {
        self.passed + self.failed + self.skipped
    }

    const fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}
