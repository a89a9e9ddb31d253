//! The process that a network is: it makes it, connects containers, and ends with the last of them.

use std::{
    fs::{File, TryLockError},
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use fs_err as fs;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::Mode,
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use serde::{Deserialize, Serialize};

use super::{
    Addresses, Join, LOCK, Reply, Request, SOCKET,
    gateway::{API, DEVICE, Forward, Gateway},
    hosts, is_at,
    link::{LOOPBACK, Netlink},
    receive, remove, send,
    subnet::{self, PREFIX, Subnet},
};
use crate::embedded::{
    helper::{Answer, Outcome, Trouble, quieten, tell},
    namespaces,
};

/// The numbers of devices: the bridge's, and that of the cable to the container whose address ends in 0.
const BRIDGE: u32 = 1000;
const CABLES: u32 = 2000;
/// How long whoever started the switch may take to ask it for something.
const FIRST: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };
/// How long a message may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A network to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Switch {
    /// Its directory.
    pub(in super::super) directory: PathBuf,
}

impl Switch {
    /// Runs the network until its last container is gone, unless another process does it already; says when it is
    /// there, or why it is not.
    pub(in super::super) fn run(self) -> ExitCode {
        let _ = rustix::process::setsid();
        rustix::process::umask(Mode::from_raw_mode(0o077));
        let lock = match lock(&self.directory) {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                tell(&Outcome::Done(Answer::default()));
                return ExitCode::SUCCESS;
            }
            Err(error) => return failed(error),
        };
        let ended = Running::start(&self.directory).map(|network| {
            tell(&Outcome::Done(Answer::default()));
            quieten();
            network.serve();
        });
        remove(&self.directory);
        drop(lock);
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(error),
        }
    }
}

fn failed(error: io::Error) -> ExitCode {
    tell(&Outcome::Failed(Trouble::from(error)));
    ExitCode::FAILURE
}

/// Makes a network's directory and takes its lock. `None`: somebody has it.
fn lock(directory: &Path) -> io::Result<Option<File>> {
    loop {
        fs::create_dir_all(directory)?;
        let path = directory.join(LOCK);
        let file = match fs::OpenOptions::new().create(true).append(true).open(&path) {
            Ok(file) => file.into_file(),
            // It was removed in between.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// A network.
struct Running {
    listener: UnixListener,
    netlink: Netlink,
    subnet: Subnet,
    gateway: Gateway,
    guests: Vec<Guest>,
    /// The number of the last container that came.
    last: Option<u8>,
}

/// Somebody who is connected to the switch.
struct Guest {
    stream: UnixStream,
    asked: Asked,
}

enum Asked {
    /// For nothing yet.
    Nothing,
    /// To stay.
    Hold,
    /// To be a container in the network.
    Join(Member),
}

/// A container in the network.
struct Member {
    /// The last number of its address.
    number: u8,
    names: Vec<String>,
    hosts: PathBuf,
    forwards: Vec<Forward>,
}

impl Running {
    fn start(directory: &Path) -> io::Result<Self> {
        std::env::set_current_dir(directory)?;
        for stale in [SOCKET, API] {
            let _ = fs::remove_file(stale);
        }
        // The gateway moves into a place of its own, which must not reach the host's mounts.
        namespaces::unshare_mounts()?;
        let routes = fs::read_to_string("/proc/self/net/route")?;
        let subnet = Subnet::free(&routes).ok_or_else(|| {
            io::Error::other(
                "there are no addresses for its network: the host has routes to all private networks; write \
                 `network: host`",
            )
        })?;
        let host = namespace()?;
        namespaces::unshare(UnshareFlags::NEWNET)?;
        let own = namespace()?;
        let netlink = Netlink::open()?;
        netlink.up(LOOPBACK)?;
        netlink.bridge("bridge", BRIDGE)?;
        move_into_link_name_space(host.as_fd(), Some(LinkNameSpaceType::Network))?;
        let gateway = Gateway::start(&own, subnet)?;
        move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network))?;
        netlink.plug(DEVICE, BRIDGE)?;
        let listener = UnixListener::bind(SOCKET)?;
        Ok(Self { listener, netlink, subnet, gateway, guests: Vec::new(), last: None })
    }

    /// Serves until the last guest is gone.
    fn serve(mut self) {
        let mut patience = Some(FIRST);
        loop {
            let Ok(ready) = self.wait(patience.as_ref()) else { return };
            // From behind, for one that is gone makes way.
            for (index, _) in ready.iter().enumerate().skip(1).filter(|(_, ready)| **ready).rev() {
                self.hear(index - 1);
            }
            if ready.first() == Some(&true)
                && let Ok((stream, _)) = self.listener.accept()
            {
                self.guests.push(Guest { stream, asked: Asked::Nothing });
                patience = None;
            }
            if self.guests.is_empty() {
                return;
            }
        }
    }

    /// Waits until somebody comes, asks or goes: first for the listener, then for each guest whether it is so.
    fn wait(&self, patience: Option<&Timespec>) -> io::Result<Vec<bool>> {
        let streams = self.guests.iter().map(|guest| PollFd::new(&guest.stream, PollFlags::IN));
        let mut all: Vec<PollFd<'_>> =
            std::iter::once(PollFd::new(&self.listener, PollFlags::IN)).chain(streams).collect();
        loop {
            match poll(&mut all, patience) {
                Ok(_) => return Ok(all.iter().map(|it| !it.revents().is_empty()).collect()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Does what a guest asks for, or lets go of one that is gone.
    fn hear(&mut self, index: usize) {
        let Some(guest) = self.guests.get(index) else { return };
        let reply = match guest.asked {
            Asked::Nothing => self.answer(index),
            // There is nothing to say any more: it is gone.
            Asked::Hold | Asked::Join(_) => None,
        };
        let told = reply.is_some_and(|reply| {
            self.guests.get(index).is_some_and(|guest| send(&guest.stream, &reply).is_ok())
        });
        if !told {
            self.leave(index);
        }
    }

    /// Returns the answer to a guest's request. `None`: it asks for nothing that can be understood.
    fn answer(&mut self, index: usize) -> Option<Reply> {
        let guest = self.guests.get(index)?;
        guest.stream.set_read_timeout(Some(PATIENCE)).ok()?;
        guest.stream.set_write_timeout(Some(PATIENCE)).ok()?;
        match receive(&guest.stream).ok()? {
            Request::Hold => {
                self.guests.get_mut(index)?.asked = Asked::Hold;
                Some(Reply::Held)
            }
            Request::Join(join) => {
                let process = rustix::net::sockopt::socket_peercred(&guest.stream).ok()?.pid;
                let member = self.connect(join, process.as_raw_nonzero().get().cast_unsigned());
                Some(match member {
                    Ok(member) => {
                        let own = self.subnet.member(member.number);
                        self.guests.get_mut(index)?.asked = Asked::Join(member);
                        self.tell_names();
                        Reply::Joined(Addresses {
                            own,
                            prefix: PREFIX,
                            gateway: self.subnet.gateway(),
                            resolver: self.subnet.resolver(),
                        })
                    }
                    Err(error) => Reply::Refused(error.to_string()),
                })
            }
        }
    }

    /// Connects a process that is in a network namespace of its own.
    fn connect(&mut self, join: Join, process: u32) -> io::Result<Member> {
        let number = subnet::number(self.last, |number| self.members().any(|it| it.number == number));
        let number =
            number.ok_or_else(|| io::Error::other("there are too many containers in its network"))?;
        let address = self.subnet.member(number);
        let [a, b, c, d] = address.octets();
        // Of the address, so that nobody remembers another for it; the bit says that it is nobody's by right.
        let hardware = [0x02, 0x42, a, b, c, d];
        let cable = CABLES + u32::from(number);
        self.netlink.cable(&format!("port{number}"), cable, BRIDGE, process, hardware)?;
        self.last = Some(number);
        let mut member = Member { number, names: join.names, hosts: join.hosts, forwards: Vec::new() };
        for port in &join.ports {
            match self.gateway.publish(port, address) {
                Ok(forward) => member.forwards.push(forward),
                Err(error) => {
                    self.disconnect(&member);
                    return Err(error);
                }
            }
        }
        Ok(member)
    }

    /// Lets go of a guest, and takes back what it has.
    fn leave(&mut self, index: usize) {
        let guest = self.guests.remove(index);
        if let Asked::Join(member) = guest.asked {
            self.disconnect(&member);
            self.tell_names();
        }
    }

    fn disconnect(&self, member: &Member) {
        for forward in &member.forwards {
            let _ = self.gateway.withdraw(*forward);
        }
        // The kernel removes it with the container's own end; this is only sooner.
        let _ = self.netlink.remove(CABLES + u32::from(member.number));
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.guests.iter().filter_map(|guest| match &guest.asked {
            Asked::Join(member) => Some(member),
            Asked::Nothing | Asked::Hold => None,
        })
    }

    /// Tells each container what all are called. Its own line comes first.
    fn tell_names(&self) {
        let line = |member: &Member| hosts::line(self.subnet.member(member.number), &member.names);
        for member in self.members() {
            let others = self.members().filter(|other| other.number != member.number);
            let lines: String = std::iter::once(member).chain(others).map(line).collect();
            // Of a container that is being removed, the file is gone or soon will be.
            let _ = hosts::update(&member.hosts, &lines);
        }
    }
}

/// Returns the network namespace that this process is in.
fn namespace() -> io::Result<OwnedFd> {
    Ok(fs::File::open("/proc/self/ns/net")?.into_file().into())
}
