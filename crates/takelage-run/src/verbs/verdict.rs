//! How the work on all images of a run ended.

use std::collections::BTreeMap;

use takelage_model::{Exit, ImageName};

use crate::{StepError, cancel::Cancel, schedule::Finished};

/// How the work on all images of a run ended.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What failed, in the order of the images' names.
    pub failures: Vec<Failure>,
    /// Images whose work did not begin because of a failure or an interrupt.
    pub not_started: Vec<ImageName>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

/// The work on one image failed.
#[derive(Debug)]
pub struct Failure {
    /// The image.
    pub image: ImageName,
    /// Why.
    pub error: StepError,
}

impl Verdict {
    /// Returns the exit status of the run: the user's failures matter most, for they are what was asked about.
    pub fn exit(&self) -> Exit {
        let failed: Vec<Exit> = self.failures.iter().map(|failure| failure.error.exit()).collect();
        match failed.iter().copied().find(|exit| *exit == Exit::Failed) {
            _ if self.interrupted => Exit::Interrupted,
            Some(exit) => exit,
            None => failed.first().copied().unwrap_or(Exit::Done),
        }
    }

    /// A verdict on nothing yet.
    pub(crate) fn new(cancel: &Cancel) -> Self {
        Self { interrupted: cancel.is_interrupted(), ..Self::default() }
    }

    /// A verdict on one image.
    pub(crate) fn of(image: &ImageName, result: Result<(), StepError>, cancel: &Cancel) -> Self {
        let mut verdict = Self::new(cancel);
        if let Err(error) = result {
            verdict.add(image.clone(), error);
        }
        verdict
    }

    /// Collects how scheduled work ended; returns the results of what was done as well.
    pub(crate) fn collect<T>(
        finished: BTreeMap<ImageName, Finished<T, StepError>>,
        cancel: &Cancel,
    ) -> (Self, BTreeMap<ImageName, T>) {
        let mut verdict = Self::new(cancel);
        let mut done = BTreeMap::new();
        for (image, finished) in finished {
            if let Some(value) = verdict.add_finished(image.clone(), finished) {
                done.insert(image, value);
            }
        }
        (verdict, done)
    }

    /// Adds how one piece of work ended; returns its result if it was done.
    pub(crate) fn add_finished<T>(
        &mut self,
        image: ImageName,
        finished: Finished<T, StepError>,
    ) -> Option<T> {
        match finished {
            Finished::Done(value) => return Some(value),
            Finished::Failed(error) => self.add(image, error),
            Finished::NotStarted => self.not_started.push(image),
        }
        None
    }

    /// Adds a failure. Work that was given up because of an interrupt did not fail.
    pub(crate) fn add(&mut self, image: ImageName, error: StepError) {
        if error.is_interruption() {
            self.interrupted = true;
        } else {
            self.failures.push(Failure { image, error });
        }
    }
}
