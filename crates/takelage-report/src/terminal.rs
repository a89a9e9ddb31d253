//! The report for people.

use std::fmt;
use std::io::{self, Write};

use indicatif::ProgressDrawTarget;
use takelage_model::event::Event;

use crate::lines::Lines;
use crate::live::Live;
use crate::{ReportError, Style, Summary, failure};

/// Says what happens, line by line, and, on a terminal, what runs now.
pub struct Terminal {
    style: Style,
    out: Box<dyn Write + Send>,
    lines: Lines,
    live: Option<Live>,
    summary: Summary,
}

impl Terminal {
    /// Writes to `out`, which is standard error if `style` is live.
    pub fn new(style: Style, out: Box<dyn Write + Send>) -> Self {
        Self::with_target(style, out, ProgressDrawTarget::stderr())
    }

    /// Draws running steps to `target`.
    fn with_target(style: Style, out: Box<dyn Write + Send>, target: ProgressDrawTarget) -> Self {
        let live = (style.live && style.verbosity >= 0).then(|| Live::new(style, target));
        Self { style, out, lines: Lines::new(style), live, summary: Summary::default() }
    }

    /// Says what there is to say about one event.
    pub fn handle(&mut self, event: &Event) -> io::Result<()> {
        self.summary.add(event);
        let text = self.lines.render(event, &self.summary);
        if let Some(live) = &mut self.live {
            live.handle(event);
        }
        self.write(&text)
    }

    /// Warns of a report that could not be written.
    pub fn warn(&mut self, error: &ReportError) -> io::Result<()> {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            message.extend([": ", &error.to_string()]);
            cause = error.source();
        }
        let text = failure::message(self.style, "warning", &message, None);
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let out = &mut self.out;
        let mut write = || out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match &self.live {
            Some(live) => live.above(write),
            None => write(),
        }
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("style", &self.style).finish_non_exhaustive()
    }
}
