//! One request under way: a child, what goes in and what comes out.

use std::{
    collections::VecDeque,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, WaitStatus},
};
use takelage_model::agent::{ErrorKind, PIECE, Reply, Size, Stream, WINDOW};

use crate::{
    child::{Failure, REPORT},
    outbox::Outbox,
    prepare::Prepared,
    session,
    spawn::{self, Child, Ends},
};

/// How long a command's background children may keep its output open after its end. This is Docker's patience.
const PATIENCE: Duration = Duration::from_secs(2);
/// Credit is granted anew when so much of the window was handed on.
const GRANT: u32 = WINDOW / 4;
/// What a terminal takes for the end of its input.
const END_OF_INPUT: u8 = 4;

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Command,
    Terminal,
    File,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Job {
    id: u64,
    kind: Kind,
    prepared: Prepared,
    pub(crate) pid: Pid,
    report: Option<OwnedFd>,
    said: Vec<u8>,
    input: Option<Input>,
    outputs: [Option<OwnedFd>; 2],
    /// How much output the host still takes.
    credit: u32,
    status: Option<i32>,
    /// When output that is still open is closed, and then how much of it is still read.
    deadline: Option<Instant>,
    rest: Option<[u64; 2]>,
}

/// Input on its way to the child.
#[derive(Debug)]
struct Input {
    /// None once the child does not read any more; then everything is dropped.
    to: Option<OwnedFd>,
    waiting: VecDeque<u8>,
    ended: bool,
    /// How much was handed on and not granted anew.
    owed: u32,
}

/// Which descriptor of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Report,
    Input,
    Output(usize),
}

impl Job {
    /// Takes care of a child.
    pub(crate) fn new(id: u64, kind: Kind, prepared: Prepared, child: Child) -> Self {
        let Child { pid, report, ends: Ends { input, outputs } } = child;
        let input = input.map(|to| Input { to: Some(to), waiting: VecDeque::new(), ended: false, owed: 0 });
        Self {
            id,
            kind,
            prepared,
            pid,
            report: Some(report),
            said: Vec::new(),
            input,
            outputs,
            credit: WINDOW,
            status: None,
            deadline: None,
            rest: None,
        }
    }

    /// Lists what is waited for: readable, or writable for the input.
    pub(crate) fn interests(&self, room: bool) -> impl Iterator<Item = (Part, BorrowedFd<'_>)> {
        let report = self.report.as_ref().map(|fd| (Part::Report, fd.as_fd()));
        let input = self.input.as_ref().filter(|input| !input.waiting.is_empty());
        let input = input.and_then(|input| input.to.as_ref()).map(|fd| (Part::Input, fd.as_fd()));
        let reads = room && self.credit > 0;
        let outputs = self.outputs.iter().enumerate();
        let outputs = outputs.filter_map(|(index, fd)| Some((Part::Output(index), fd.as_ref()?.as_fd())));
        report.into_iter().chain(input).chain(outputs.filter(move |_| reads))
    }

    /// Returns when [`Job::give_up`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.filter(|_| self.rest.is_none())
    }

    /// Something can be read or written.
    pub(crate) fn ready(&mut self, part: Part, buffer: &mut [u8], outbox: &mut Outbox) {
        match part {
            Part::Report => self.read_report(),
            Part::Input => self.write_input(outbox),
            Part::Output(index) => self.read_output(index, buffer, outbox),
        }
    }

    fn read_report(&mut self) {
        let Some(report) = &self.report else { return };
        let mut buffer = [0; REPORT];
        match rustix::io::read(report, &mut buffer) {
            Ok(0) => self.report = None,
            Ok(count) => self.said.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.report = None,
        }
    }

    /// Takes input from the host. `Err`: it sent more than it may.
    pub(crate) fn take(&mut self, bytes: &[u8], outbox: &mut Outbox) -> Result<(), ()> {
        let Some(input) = self.input.as_mut().filter(|input| !input.ended) else { return Ok(()) };
        if input.waiting.len() + input.owed as usize + bytes.len() > WINDOW as usize {
            return Err(());
        }
        // What goes at once need not wait.
        let direct = match &input.to {
            Some(to) if input.waiting.is_empty() => rustix::io::write(to, bytes).unwrap_or(0),
            _ => 0,
        };
        input.owed += u32::try_from(direct).unwrap_or(WINDOW);
        input.waiting.extend(bytes.get(direct..).unwrap_or_default());
        self.write_input(outbox);
        Ok(())
    }

    /// The host has no more input.
    pub(crate) fn end_input(&mut self, outbox: &mut Outbox) {
        let Some(input) = &mut self.input else { return };
        if self.kind == Kind::Terminal {
            input.waiting.push_back(END_OF_INPUT);
        }
        input.ended = true;
        self.write_input(outbox);
    }

    fn write_input(&mut self, outbox: &mut Outbox) {
        let Some(input) = &mut self.input else { return };
        while !input.waiting.is_empty() {
            let Some(to) = &input.to else {
                // Nobody reads it any more. The host need not know, but must get rid of it.
                input.owed += u32::try_from(input.waiting.len()).unwrap_or(WINDOW);
                input.waiting.clear();
                break;
            };
            match rustix::io::write(to, input.waiting.as_slices().0) {
                Ok(count) => {
                    input.waiting.drain(..count);
                    input.owed += u32::try_from(count).unwrap_or(WINDOW);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => input.to = None,
            }
        }
        if input.owed >= GRANT && !input.ended {
            outbox.send(self.id, &Reply::Credit { bytes: input.owed }, &[]);
            input.owed = 0;
        }
        if input.waiting.is_empty() && input.ended && self.kind != Kind::Terminal {
            input.to = None;
        }
    }

    /// The host takes so much more output.
    pub(crate) fn grant(&mut self, bytes: u32) {
        self.credit = self.credit.saturating_add(bytes).min(WINDOW);
    }

    fn read_output(&mut self, index: usize, buffer: &mut [u8], outbox: &mut Outbox) {
        let rest = self.rest.and_then(|rest| rest.get(index).copied()).unwrap_or(u64::MAX);
        let most = (self.credit as usize).min(PIECE).min(usize::try_from(rest).unwrap_or(PIECE));
        if most == 0 {
            // The other output took the last of it in the same round. Reading nothing would look like the end.
            return;
        }
        let Some(output) = self.outputs.get_mut(index) else { return };
        let (Some(from), Some(buffer)) = (&output, buffer.get_mut(..most)) else { return };
        match rustix::io::read(from, &mut *buffer) {
            Ok(count @ 1..) => {
                let stream = if index == 0 { Stream::Stdout } else { Stream::Stderr };
                outbox.send(self.id, &Reply::Data { stream }, buffer.get(..count).unwrap_or_default());
                self.credit -= u32::try_from(count).unwrap_or(self.credit).min(self.credit);
                if let Some(rest) = self.rest.as_mut().and_then(|rest| rest.get_mut(index)) {
                    *rest -= count as u64;
                    if *rest == 0 {
                        *output = None;
                    }
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            // The end, of which a terminal speaks as of an error.
            Ok(_) | Err(_) => *output = None,
        }
    }

    /// The child has ended.
    pub(crate) fn ended(&mut self, status: WaitStatus) {
        self.status = Some(exit_status(status));
        self.deadline = Some(Instant::now() + PATIENCE);
        // Nobody reads it, and no write will ever tell: what is in the pipe is not read by anybody either.
        if let Some(input) = &mut self.input {
            input.to = None;
        }
    }

    /// Nobody waits for output any longer: what is there by now is all.
    pub(crate) fn give_up(&mut self) {
        let mut rest = [0; 2];
        for (output, rest) in self.outputs.iter_mut().zip(&mut rest) {
            *rest = output.as_ref().and_then(|fd| rustix::io::ioctl_fionread(fd).ok()).unwrap_or(0);
            if *rest == 0 {
                *output = None;
            }
        }
        self.rest = Some(rest);
    }

    /// A terminal has another size.
    pub(crate) fn resize(&self, size: Size) {
        if let (Kind::Terminal, Some(master)) = (self.kind, &self.outputs[0]) {
            // A terminal of the wrong size is an inconvenience, no failure.
            let _ = spawn::resize(master, size);
        }
    }

    /// Kills the child and its session.
    pub(crate) fn kill(&self) {
        session::kill(self.pid, self.status.is_none());
    }

    /// Says how it ended, if it has ended and all its output was sent.
    pub(crate) fn finish(&self, outbox: &mut Outbox) -> bool {
        let Some(status) = self.status else { return false };
        if self.report.is_some() || self.outputs.iter().any(Option::is_some) {
            return false;
        }
        let id = self.id;
        match (Failure::decode(&self.said).map(|failure| self.prepared.explain(failure)), self.kind) {
            (Some((Ok(status), reason)), _) => {
                outbox.send(id, &Reply::Data { stream: Stream::Stderr }, format!("{reason}\n").as_bytes());
                outbox.send(id, &Reply::Exit { status }, &[]);
            }
            (Some((Err(kind), message)), _) => outbox.refuse(id, kind, &message),
            (None, Kind::Command | Kind::Terminal) => outbox.send(id, &Reply::Exit { status }, &[]),
            (None, Kind::File) if status == 0 => outbox.send(id, &Reply::Done, &[]),
            (None, Kind::File) => {
                let message = format!("copying `{}` ended with status {status}", self.prepared.subject);
                outbox.refuse(id, ErrorKind::System, &message);
            }
        }
        true
    }
}

/// Returns the status that a shell would give.
pub(crate) fn exit_status(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(status), _) => status,
        (None, Some(signal)) => 128 + signal,
        (None, None) => -1,
    }
}
