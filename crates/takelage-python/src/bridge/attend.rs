//! A Python program that uses the bridge, from its start to its end.

use std::io;

use takelage_engine::Container;
use takelage_model::event::EventKind;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::{Bridge, Report};
use crate::process::{Ended, Source, Terminal, watch};

impl<C: Container> Bridge<C> {
    /// Runs `command` to its end, handing each line of its output to `line` and what it reports to `report` as it comes.
    pub(crate) async fn attend(
        &self,
        command: Command,
        terminal: Terminal,
        cancel: &CancellationToken,
        line: impl FnMut(Source, &str),
        mut report: impl FnMut(Report),
    ) -> io::Result<Ended> {
        let mut reports = self.listen();
        let watched = watch(command, self.socket().as_os_str(), terminal, cancel, line);
        tokio::pin!(watched);
        let ended = loop {
            tokio::select! {
                ended = &mut watched => break ended,
                Some(said) = reports.recv() => report(said),
            }
        };
        // Every report was acknowledged before the program ended, so all of them are in the channel by now.
        while let Ok(said) = reports.try_recv() {
            report(said);
        }
        ended
    }

    /// Tells a line that a program wrote, unless it is blank.
    pub(crate) fn output(&self, program: &str, line: &str) {
        if !line.trim().is_empty() {
            let (step, program, line) = (self.step().clone(), program.to_owned(), line.to_owned());
            self.emit(EventKind::Output { step, program, line });
        }
    }
}
