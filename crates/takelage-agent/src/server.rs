//! The loop: waits for whatever comes next and gives it to whom it concerns.
//!
//! Nothing in it blocks, so a slow reader, a silent command or a stalled host delays nobody else.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::SocketFlags,
    process::{Pid, WaitOptions},
};

use takelage_model::agent::PIECE;

use crate::{
    client::{Agent, Client, Gone, Place},
    job::exit_status,
    signals::{self, Signals},
    spawn::Surroundings,
};

/// How long no further client is let in after one could not be, for lack of descriptors.
const RESPITE: Duration = Duration::from_millis(100);
/// How much is read at once.
const BUFFER: usize = PIECE;

/// The agent's state.
#[derive(Debug)]
pub(crate) struct Server {
    signals: Signals,
    listener: Option<OwnedFd>,
    clients: BTreeMap<u64, Client>,
    next: u64,
    role: Role,
    surroundings: Surroundings,
    /// When the next client may come in.
    respite: Option<Instant>,
}

/// Who the agent is in its container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Process 1, with the main command if there is one.
    Init(Option<Pid>),
    /// A child of process 1, which is the main command.
    Beside,
    /// Somebody's end of a stream: it ends when that is gone.
    Guest,
}

/// What can be ready.
#[derive(Debug, Clone, Copy)]
enum Event {
    Signals,
    Listener,
    Client(u64, Place),
}

impl Server {
    pub(crate) fn new(signals: Signals, role: Role, surroundings: Surroundings) -> Self {
        let clients = BTreeMap::new();
        Self { signals, listener: None, clients, next: 0, role, surroundings, respite: None }
    }

    /// Lets in whoever connects to this socket.
    pub(crate) fn listen(&mut self, listener: OwnedFd) {
        self.listener = Some(listener);
    }

    /// Adds a client.
    pub(crate) fn welcome(&mut self, client: Client) {
        self.clients.insert(self.next, client);
        self.next += 1;
    }

    /// Serves until it is time to end, and returns the exit status.
    pub(crate) fn run(&mut self) -> Result<i32, Errno> {
        let mut buffer = vec![0; BUFFER];
        loop {
            for event in self.wait()? {
                match event {
                    Event::Signals => {
                        if let Some(status) = self.read_signals() {
                            return Ok(status);
                        }
                    }
                    Event::Listener => self.accept(),
                    Event::Client(number, place) => {
                        if let Some(mut client) = self.clients.remove(&number) {
                            let lives = client.ready(place, self, &mut buffer).is_ok();
                            self.keep(number, client, lives);
                        }
                    }
                }
            }
            self.tick();
            if self.role == Role::Guest && self.clients.is_empty() {
                return Ok(0);
            }
        }
    }

    /// Waits for something to be ready.
    fn wait(&self) -> Result<Vec<Event>, Errno> {
        let listener = self.listener.iter().filter(|_| self.respite.is_none());
        let clients = self.clients.iter().flat_map(|(&number, client)| {
            client.interests().map(move |(place, fd)| (Event::Client(number, place), fd))
        });
        let waited = [(Event::Signals, self.signals.as_fd())]
            .into_iter()
            .chain(listener.map(|listener| (Event::Listener, listener.as_fd())))
            .chain(clients);
        let (events, mut fds): (Vec<_>, Vec<_>) =
            waited.map(|(event, fd)| (event, PollFd::from_borrowed_fd(fd, event.flags()))).unzip();
        let now = Instant::now();
        let deadline = self.clients.values().filter_map(Client::deadline).chain(self.respite).min();
        // Rounded up to the next millisecond, or it would be woken a little early and find nothing to do.
        let timeout =
            deadline.map(|deadline| deadline.saturating_duration_since(now) + Duration::from_millis(1));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready = events.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(event, _)| event).collect())
    }

    fn keep(&mut self, number: u64, mut client: Client, lives: bool) {
        if lives {
            self.clients.insert(number, client);
        } else {
            client.kill();
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(stream) => self.welcome(Client::new(stream, None)),
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
            // It stays in the queue, and would be said to be ready again at once.
            Err(_) => self.respite = Some(Instant::now() + RESPITE),
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.respite = self.respite.filter(|&respite| respite > now);
        let due = |client: &Client| client.deadline().is_some_and(|deadline| deadline <= now);
        let numbers: Vec<_> =
            self.clients.iter().filter(|(_, client)| due(client)).map(|(&number, _)| number).collect();
        for number in numbers {
            if let Some(mut client) = self.clients.remove(&number) {
                let lives = client.tick(now).is_ok();
                self.keep(number, client, lives);
            }
        }
    }

    /// Reads signals, and returns the exit status if it is time to end.
    fn read_signals(&mut self) -> Option<i32> {
        while let Some((number, sender)) = self.signals.next() {
            let ends = match (number, self.role) {
                (libc::SIGCHLD, _) => self.reap(),
                (_, Role::Init(Some(main))) if signals::is_request(number) => {
                    // It may be ending right now.
                    let _ = signals::send(main, number);
                    None
                }
                (_, Role::Init(None) | Role::Guest) if signals::asks_to_end(number) => Some(128 + number),
                // systemd shuts down, and waits for everybody.
                (libc::SIGTERM, Role::Beside) if sender == Some(Pid::INIT) => Some(128 + number),
                // Others may signal everybody, and do not mean the agent.
                _ => None,
            };
            if let Some(status) = ends {
                self.end();
                return Some(status);
            }
        }
        None
    }

    /// Reaps every child that has ended, orphans of others included.
    fn reap(&mut self) -> Option<i32> {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if self.role == Role::Init(Some(pid)) {
                return Some(exit_status(status));
            }
            let owner = self
                .clients
                .iter_mut()
                .find_map(|(&number, client)| client.reaped(pid, status).map(|result| (number, result)));
            if let Some((number, Err(Gone))) = owner
                && let Some(mut client) = self.clients.remove(&number)
            {
                client.kill();
            }
        }
        None
    }

    /// Says what there is to say, and leaves nothing behind.
    fn end(&mut self) {
        for client in self.clients.values_mut() {
            let _ = client.flush();
            client.kill();
        }
    }
}

impl Event {
    fn flags(self) -> PollFlags {
        match self {
            Self::Client(_, Place::Output | Place::Job(_, crate::job::Part::Input)) => PollFlags::OUT,
            _ => PollFlags::IN,
        }
    }
}

impl Agent for Server {
    fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    fn signal(&self, number: i32) -> Result<(), String> {
        let main = match self.role {
            Role::Init(main) => main,
            Role::Beside => Some(Pid::INIT),
            Role::Guest => None,
        };
        let main = main.ok_or("there is no main command")?;
        signals::send(main, number)
            .map_err(|errno| format!("cannot send signal {number}: {}", std::io::Error::from(errno)))
    }
}
