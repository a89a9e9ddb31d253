//! One host on the other end of a stream, and what it has asked for.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use rustix::{
    io::Errno,
    process::{Pid, WaitStatus},
};
use takelage_model::agent::{
    ErrorKind, Reply, Request, VERSION,
    wire::{Decoder, Frame, FrameError},
};

use crate::{
    job::{Job, Kind, Part},
    outbox::Outbox,
    prepare::{Prepared, Unprepared},
    spawn::{Room, Surroundings, Wanted},
};

/// One host on the other end of a stream.
#[derive(Debug)]
pub(crate) struct Client {
    input: OwnedFd,
    /// None: the input is a socket, and goes both ways.
    output: Option<OwnedFd>,
    decoder: Decoder,
    outbox: Outbox,
    jobs: BTreeMap<u64, Job>,
    greeted: bool,
    /// Nothing more is read from it.
    closing: bool,
}

/// Which descriptor of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Input,
    Output,
    Job(u64, Part),
}

/// What a client needs of the agent.
pub(crate) trait Agent {
    /// Returns what holds for every child.
    fn surroundings(&self) -> &Surroundings;

    /// Sends a signal to the main command.
    fn signal(&self, number: i32) -> Result<(), String>;
}

/// A client that is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl Client {
    /// Talks to whoever is on the other end. Both descriptors must not block.
    pub(crate) fn new(input: OwnedFd, output: Option<OwnedFd>) -> Self {
        Self {
            input,
            output,
            decoder: Decoder::default(),
            outbox: Outbox::default(),
            jobs: BTreeMap::new(),
            greeted: false,
            closing: false,
        }
    }

    fn output(&self) -> BorrowedFd<'_> {
        self.output.as_ref().unwrap_or(&self.input).as_fd()
    }

    /// Lists what is waited for: readable, or writable for its output and for a job's input.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (Place, BorrowedFd<'_>)> {
        let reads = !self.closing && self.outbox.is_patient();
        let input = reads.then(|| (Place::Input, self.input.as_fd()));
        let output = (!self.outbox.is_empty()).then(|| (Place::Output, self.output()));
        let room = self.outbox.has_room();
        let jobs = self.jobs.iter().flat_map(move |(&id, job)| {
            job.interests(room).map(move |(part, fd)| (Place::Job(id, part), fd))
        });
        input.into_iter().chain(output).chain(jobs)
    }

    /// Returns when [`Client::tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.jobs.values().filter_map(Job::deadline).min()
    }

    /// Something can be read or written.
    pub(crate) fn ready(&mut self, place: Place, agent: &impl Agent, buffer: &mut [u8]) -> Result<(), Gone> {
        match place {
            Place::Input => self.read(agent, buffer)?,
            Place::Output => {}
            Place::Job(id, part) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.ready(part, buffer, &mut self.outbox);
                    self.finish(id);
                }
            }
        }
        self.flush()
    }

    /// Writes what waits, as far as that goes.
    pub(crate) fn flush(&mut self) -> Result<(), Gone> {
        let output = self.output.as_ref().unwrap_or(&self.input);
        self.outbox.flush(output).map_err(|_| Gone)?;
        if self.closing && self.outbox.is_empty() { Err(Gone) } else { Ok(()) }
    }

    /// Gives up what is overdue.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), Gone> {
        let due = |job: &Job| job.deadline().is_some_and(|deadline| deadline <= now);
        let overdue: Vec<_> = self.jobs.iter().filter(|(_, job)| due(job)).map(|(&id, _)| id).collect();
        for id in overdue {
            if let Some(job) = self.jobs.get_mut(&id) {
                job.give_up();
                self.finish(id);
            }
        }
        self.flush()
    }

    /// A child has ended. `None`: it is not one of this client.
    pub(crate) fn reaped(&mut self, pid: Pid, status: WaitStatus) -> Option<Result<(), Gone>> {
        let (&id, job) = self.jobs.iter_mut().find(|(_, job)| job.pid == pid)?;
        job.ended(status);
        self.finish(id);
        Some(self.flush())
    }

    /// Kills everything that is under way.
    pub(crate) fn kill(&mut self) {
        for job in std::mem::take(&mut self.jobs).into_values() {
            job.kill();
        }
    }

    fn finish(&mut self, id: u64) {
        if self.jobs.get(&id).is_some_and(|job| job.finish(&mut self.outbox)) {
            self.jobs.remove(&id);
        }
    }

    fn read(&mut self, agent: &impl Agent, buffer: &mut [u8]) -> Result<(), Gone> {
        match rustix::io::read(&self.input, &mut *buffer) {
            Ok(0) => return Err(Gone),
            Ok(count) => self.decoder.push(buffer.get(..count).unwrap_or_default()),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => return Err(Gone),
        }
        while !self.closing {
            match self.decoder.take() {
                Ok(None) => break,
                Ok(Some(frame)) => self.handle(frame, agent),
                Err(FrameError::Malformed { id, source }) => {
                    let message = format!("a frame has a malformed header: {source}");
                    self.outbox.refuse(id.unwrap_or(0), ErrorKind::Protocol, &message);
                    self.closing = id.is_none();
                }
                Err(error) => {
                    self.outbox.refuse(0, ErrorKind::Protocol, &error.to_string());
                    self.closing = true;
                }
            }
        }
        if self.closing {
            self.kill();
        }
        Ok(())
    }

    fn handle(&mut self, frame: Frame<Request>, agent: &impl Agent) {
        let Frame { id, message, body } = frame;
        match message {
            Request::Hello { version } if !self.greeted => {
                self.greeted = true;
                self.outbox.send(id, &Reply::Hello { version: VERSION }, &[]);
                if version != VERSION {
                    let message = format!("the agent speaks version {VERSION}, and not {version}");
                    self.outbox.refuse(id, ErrorKind::Version, &message);
                    self.closing = true;
                }
            }
            _ if !self.greeted => {
                self.outbox.refuse(id, ErrorKind::Protocol, "the first frame must be `hello`");
                self.closing = true;
            }
            Request::Exec(command) => {
                let (kind, wanted) = match command.tty {
                    Some(size) => (Kind::Terminal, Wanted::Terminal(size)),
                    None => (Kind::Command, Wanted::Pipes { input: command.stdin, room: Room::Usual }),
                };
                self.start(id, kind, wanted, Prepared::command(&command), agent);
            }
            Request::Put { path, user, mode } => {
                let prepared = Prepared::put(&path, user.as_deref(), mode);
                self.start(id, Kind::File, Wanted::Pipes { input: true, room: Room::Large }, prepared, agent);
            }
            Request::Get { path, user } => {
                let prepared = Prepared::get(&path, user.as_deref());
                self.start(
                    id,
                    Kind::File,
                    Wanted::Pipes { input: false, room: Room::Large },
                    prepared,
                    agent,
                );
            }
            Request::Data => {
                let taken = self.jobs.get_mut(&id).map(|job| job.take(&body, &mut self.outbox));
                if let Some(Err(())) = taken {
                    self.cancel(id, ErrorKind::Protocol, "there was more input than credit");
                }
            }
            Request::End => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.end_input(&mut self.outbox);
                }
            }
            Request::Credit { bytes } => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.grant(bytes);
                }
            }
            Request::Resize { size } => {
                if let Some(job) = self.jobs.get(&id) {
                    job.resize(size);
                }
            }
            Request::Signal { number } => match agent.signal(number) {
                Ok(()) => self.outbox.send(id, &Reply::Done, &[]),
                Err(message) => self.outbox.refuse(id, ErrorKind::System, &message),
            },
            Request::Cancel => self.cancel(id, ErrorKind::Cancelled, "it was cancelled"),
            Request::Hello { .. } => {
                self.outbox.refuse(id, ErrorKind::Protocol, "`hello` is the first frame only");
            }
            Request::Unknown => self.outbox.refuse(id, ErrorKind::Protocol, "this request is unknown"),
        }
    }

    fn start(
        &mut self,
        id: u64,
        kind: Kind,
        wanted: Wanted,
        prepared: Result<Prepared, Unprepared>,
        agent: &impl Agent,
    ) {
        if self.jobs.contains_key(&id) {
            return self.cancel(id, ErrorKind::Protocol, "the number belongs to another request");
        }
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.outbox.refuse(id, error.kind(), &error.to_string()),
        };
        match agent.surroundings().spawn(&prepared, wanted) {
            Ok(child) => {
                self.jobs.insert(id, Job::new(id, kind, prepared, child));
            }
            Err(errno) => {
                let reason = std::io::Error::from(errno);
                let message = format!("cannot start anything for `{}`: {reason}", prepared.subject);
                self.outbox.refuse(id, ErrorKind::System, &message);
            }
        }
    }

    fn cancel(&mut self, id: u64, kind: ErrorKind, message: &str) {
        if let Some(job) = self.jobs.remove(&id) {
            job.kill();
            self.outbox.refuse(id, kind, message);
        }
    }
}
