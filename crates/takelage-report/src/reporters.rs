//! All reports of a run together.

use std::io;

use takelage_model::event::Event;
use thiserror::Error;

use crate::{JsonLines, Junit, Terminal};

/// The reports that were asked for.
///
/// A report that cannot be written is given up with a warning. It never changes how the run ends: what was
/// provisioned and verified is true whether or not the disk had room for its report.
#[derive(Debug, Default)]
pub struct Reporters {
    terminal: Option<Terminal>,
    events: Option<JsonLines>,
    junit: Option<Junit>,
    errors: Vec<ReportError>,
}

/// A report that could not be written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// What is said to the user.
    #[error("cannot write to the terminal")]
    Terminal(#[source] io::Error),
    /// `--events`.
    #[error("cannot write the event log")]
    Events(#[source] io::Error),
    /// `--junit`.
    #[error("cannot write the JUnit report")]
    Junit(#[source] io::Error),
}

impl Reporters {
    /// Makes no report yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the report for people.
    pub fn terminal(mut self, terminal: Terminal) -> Self {
        self.terminal = Some(terminal);
        self
    }

    /// Adds the recorded log.
    pub fn events(mut self, events: JsonLines) -> Self {
        self.events = Some(events);
        self
    }

    /// Adds the report for CI systems.
    pub fn junit(mut self, junit: Junit) -> Self {
        self.junit = Some(junit);
        self
    }

    /// Passes one event to every report. Errors wait for [`finish`](Self::finish).
    pub fn handle(&mut self, event: &Event) {
        if let Some(terminal) = &mut self.terminal
            && let Err(source) = terminal.handle(event)
        {
            self.terminal = None;
            self.errors.push(ReportError::Terminal(source));
        }
        self.record(event);
    }

    /// Passes one event to every report but the one for people, who have seen it already.
    pub fn record(&mut self, event: &Event) {
        if let Some(events) = &mut self.events
            && let Err(source) = events.handle(event)
        {
            self.events = None;
            self.errors.push(ReportError::Events(source));
        }
        if let Some(junit) = &mut self.junit {
            junit.handle(event);
        }
    }

    /// Completes every report, says which could not be written, and returns those errors.
    pub fn finish(mut self) -> Vec<ReportError> {
        if let Some(Err(source)) = self.events.map(JsonLines::finish) {
            self.errors.push(ReportError::Events(source));
        }
        if let Some(Err(source)) = self.junit.map(Junit::finish) {
            self.errors.push(ReportError::Junit(source));
        }
        if let Some(terminal) = &mut self.terminal {
            for error in &self.errors {
                // A terminal that fails now has nobody left to tell.
                let _ = terminal.warn(error);
            }
        }
        self.errors
    }
}
