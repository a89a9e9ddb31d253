//! Networks of containers that do not use the host's.
//!
//! ```text
//! host's network │ network of a group of containers                 │ networks of the containers
//!                │                                                  │
//!  slirp4netns ──┼── tap0 ─── bridge ───┬── port10 ─────────────────┼── eth0   first process, …
//!  (user space)  │                      └── port11 ─────────────────┼── eth0   first process, …
//!                │ switch: makes it, waits for the last container   │ monitor: puts its own end up
//! ```
//!
//! A group's network is a namespace that only its switch is in. What leaves it is carried by `slirp4netns`, by
//! sockets like those of any program: so no firewall of the host has to forward anything, no rule, address or device
//! is made in the host's network, and two groups cannot come into each other's way. All of it is the kernel's to
//! clean: a container's end closes its connection to the switch, the last one's end ends the switch, and with that end
//! the namespace and `slirp4netns` go, however anything of it ended.
//!
//! Names are lines in the `/etc/hosts` of each container, see `hosts`.

mod gateway;
mod host;
mod hosts;
mod link;
mod member;
mod subnet;
mod switch;

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::Ipv4Addr,
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fs_err as fs;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub(super) use hosts::LOCAL;
pub(super) use member::Attachment;
pub(super) use switch::Switch;

use super::{engine::Shared, helper::Task, record};

/// The switch's socket, in the network's directory.
const SOCKET: &str = "socket";
/// Held by the switch, in the network's directory.
const LOCK: &str = "lock";
/// How the names of directories begin that are on their way out. No network is called so.
const GONE: &str = "gone-";
/// The longest line that is a message, in bytes.
const MESSAGE: u64 = 1 << 20;
/// How long a network may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long to wait for a switch that somebody else has started.
const LOOK: Duration = Duration::from_millis(5);

/// What is asked of a switch; it holds for as long as the connection is open.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// Stay.
    Hold,
    /// Connect the process that asks, which is in a network of its own.
    Join(Join),
}

/// A container that is to be connected.
#[derive(Debug, Serialize, Deserialize)]
struct Join {
    /// What the others may call it.
    names: Vec<String>,
    /// Its `/etc/hosts`, as the host sees it.
    hosts: PathBuf,
    /// Its ports that are published.
    ports: Vec<crate::ports::PublishedPort>,
}

/// What a switch answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    /// It stays.
    Held,
    /// The container has an end of a cable, and these addresses are for it.
    Joined(Addresses),
    /// It cannot be connected: a sentence.
    Refused(String),
}

/// What a container has to know of its network.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Addresses {
    /// Its own.
    own: Ipv4Addr,
    /// How many bits of it are the network's.
    prefix: u8,
    /// Where everything goes that is not within the network.
    gateway: Ipv4Addr,
    /// The name server.
    resolver: Ipv4Addr,
}

/// Connects to the switch of a network. A socket's path may be no longer than 107 bytes, so it is named by its open
/// directory.
fn connect(directory: &Path) -> io::Result<UnixStream> {
    let directory = fs::File::open(directory)?;
    let stream = UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn send(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Receives the only message that comes this way.
fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<T> {
    let mut line = String::new();
    BufReader::new(stream.take(MESSAGE)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// A network that stays until the value is dropped.
#[derive(Debug)]
pub(super) struct Held(#[expect(dead_code, reason = "it is held by being open")] UnixStream);

/// Asks a switch to stay. `None`: there is none, or it is about to end.
fn hold(directory: &Path) -> io::Result<Option<Held>> {
    let asked = connect(directory).and_then(|stream| {
        send(&stream, &Request::Hold)?;
        receive(&stream).map(|reply| (stream, reply))
    });
    match asked {
        Ok((stream, Reply::Held)) => Ok(Some(Held(stream))),
        Ok((_, reply)) => Err(io::Error::other(format!("the switch of a network answers {reply:?}"))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::ErrorKind::TimedOut.into()),
        Err(_) => Ok(None),
    }
}

impl Shared {
    /// Sees to it that a network is there.
    pub(super) async fn hold_network(&self, directory: &Path) -> io::Result<Held> {
        let start = Instant::now();
        loop {
            let path = directory.to_owned();
            let held = tokio::task::spawn_blocking(move || hold(&path)).await.map_err(io::Error::other)??;
            if let Some(held) = held {
                return Ok(held);
            }
            if start.elapsed() >= PATIENCE {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "its network does not come up"));
            }
            let task = Task::Switch(Switch { directory: directory.to_owned() });
            self.launcher.resident(&task).await.map_err(io::Error::from)?;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Removes what switches that were killed have left: nothing but files.
    pub(super) fn sweep_networks(&self) -> io::Result<()> {
        for network in record::all(&self.networks)? {
            if network.0.file_name().is_some_and(|name| name.to_string_lossy().starts_with(GONE)) {
                // Somebody else may be removing it as well.
                let _ = fs::remove_dir_all(&network.0);
                continue;
            }
            match fs::OpenOptions::new().append(true).open(network.0.join(LOCK)) {
                Ok(lock) => {
                    let lock = lock.into_file();
                    if lock.try_lock().is_ok() && is_at(&lock, &network.0.join(LOCK)) {
                        remove(&network.0);
                    }
                }
                // One that is about to get its lock is not removed, for it has it then, or makes the directory again.
                Err(_) => drop(fs::remove_dir(&network.0)),
            }
        }
        Ok(())
    }
}

/// Whether an open file is the one at a path: whoever waits for a lock may get that of a directory which is gone.
fn is_at(file: &std::fs::File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let identity = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => identity(&open) == identity(&there),
        _ => false,
    }
}

/// Removes the directory of a network whose lock this process holds: first from sight, so that nobody's new files are
/// removed with the old.
fn remove(directory: &Path) {
    let gone = directory.with_file_name(format!("{GONE}{}", rustix::process::getpid().as_raw_nonzero()));
    if fs::rename(directory, &gone).is_ok() {
        // What cannot be removed is found by the next sweep.
        let _ = fs::remove_dir_all(&gone);
    }
}
