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
    /// Whether a blank line was written last, so that another one would be too many.
    apart: bool,
}

impl Terminal {
    /// Writes to `out`, which is standard error if `style` is live.
    pub fn new(style: Style, out: Box<dyn Write + Send>) -> Self {
        Self::with_target(style, out, ProgressDrawTarget::stderr())
    }

    /// Draws running steps to `target`.
    fn with_target(style: Style, out: Box<dyn Write + Send>, target: ProgressDrawTarget) -> Self {
        let live = (style.live && style.verbosity >= 0).then(|| Live::new(style, target));
        Self { style, out, lines: Lines::new(style), live, summary: Summary::default(), apart: true }
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
        let text = if self.apart { text.trim_start_matches('\n') } else { text };
        if text.is_empty() {
            return Ok(());
        }
        self.apart = text.ends_with("\n\n");
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use indicatif::{InMemoryTerm, TermLike as _};
    use takelage_model::event::{EventKind, Op, Outcome, SCHEMA, Step, Task};
    use takelage_model::{Exit, RunId};

    use super::*;

    /// The writer and the live display share one screen, as they share standard error.
    struct Screen(InMemoryTerm);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
            self.0.write_str(&text.replace('\n', "\r\n"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn running_steps_stay_below_finished_lines_and_vanish_at_the_end() {
        let screen = InMemoryTerm::new(20, 60);
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let style = Style { live: true, ..Style::default() };
        let mut terminal = Terminal::with_target(style, Box::new(Screen(screen.clone())), target);
        let mut index = 0;
        let mut handle = |kind| {
            let run = RunId::from_recorded("00");
            let at = jiff::Timestamp::UNIX_EPOCH;
            let event = Event { schema: SCHEMA, run, index, at, elapsed: Duration::from_secs(index), kind };
            index += 1;
            terminal.handle(&event).unwrap();
        };
        let step = |image: &str| Step { image: image.parse().unwrap(), op: Op::Converge, layer: None };
        let task = |name: &str| Task {
            id: name.into(),
            name: name.into(),
            action: "command".into(),
            path: String::new(),
            handler: false,
        };
        handle(EventKind::RunStarted {
            command: "produce".into(),
            project: "harbour".into(),
            engine: "docker".into(),
            version: "0".into(),
            images: Vec::new(),
        });
        handle(EventKind::StepStarted { step: step("web") });
        handle(EventKind::StepStarted { step: step("db") });
        handle(EventKind::Task { step: step("web"), task: task("install \x1b[31mnginx") });
        handle(EventKind::Task { step: step("db"), task: task("create tables ".repeat(9).as_str()) });
        handle(EventKind::StepFinished {
            step: step("none"),
            outcome: Outcome::Done { summary: String::new() },
            took: Duration::ZERO,
        });
        // Redrawing is limited to some times per second; the next tick shows what is new.
        for _ in 0..100 {
            if screen.contents().contains("create tables") && screen.contents().contains("nginx") {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let shown = screen.contents();
        let lines: Vec<_> = shown.lines().map(str::trim).collect();
        assert_eq!(lines.len(), 4, "{shown}");
        assert_eq!(lines[1], "none: converge: done in 0.0 s");
        assert!(lines[2].ends_with("web: converge install nginx"), "{shown}");
        assert!(lines[3].contains("db: converge create tables create"), "{shown}");

        handle(EventKind::StepFinished {
            step: step("web"),
            outcome: Outcome::Aborted,
            took: Duration::ZERO,
        });
        handle(EventKind::RunFinished { exit: Exit::Interrupted });
        let shown = screen.contents();
        assert!(shown.contains("web: converge: interrupted after 0.0 s"), "{shown}");
        assert!(shown.trim_end().ends_with("interrupted after 7.0 s"), "{shown}");
        assert!(!shown.contains("create tables"), "{shown}");
    }
}
