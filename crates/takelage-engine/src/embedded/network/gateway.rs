//! The way out of a network, and the way in to published ports: `slirp4netns`.
//!
//! It takes packets from a device in the network and does what they ask for with sockets of the host, like any program
//! there. It ends when its standard input does, so it does not outlive the switch that started it.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use fs_err as fs;
use rustix::{
    io::FdFlags,
    pipe::{PipeFlags, pipe_with},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    link::MTU,
    subnet::{PREFIX, Subnet},
};
use crate::ports::PublishedPort;

const PROGRAM: &str = "slirp4netns";
/// What its device is called.
pub(super) const DEVICE: &str = "tap0";
/// Where it takes requests, in the directory of the network, which the switch is in.
pub(super) const API: &str = "gateway.sock";
/// What it says, in the same place.
const LOG: &str = "gateway.log";
/// Where it makes its device.
const TUN: &str = "/dev/net/tun";
/// How many ports of the host to try where one is free.
const TRIES: usize = 32;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ports that nobody may have for good.
const FREE: std::ops::Range<u16> = 49152..65535;

/// A running `slirp4netns`.
#[derive(Debug)]
pub(super) struct Gateway {
    process: Child,
    /// Where it takes requests.
    api: PathBuf,
}

/// The number of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) struct Forward {
    id: u64,
}

/// What it answers to a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    Return(T),
    Error { desc: String },
}

impl Gateway {
    /// Starts it for the network namespace `of`, from that of the host; returns when its device is there.
    pub(super) fn start(of: &OwnedFd, subnet: Subnet) -> io::Result<Self> {
        if !Path::new(TUN).exists() {
            return Err(io::Error::other(format!(
                "there is no `{TUN}`, which networks of containers need: load the kernel's module `tun`, or write \
                 `network: host`"
            )));
        }
        // The other end must get to the next program, which is told its number.
        let (ready, said) = pipe_with(PipeFlags::empty())?;
        rustix::io::fcntl_setfd(&ready, FdFlags::CLOEXEC)?;
        let log = fs::File::create(LOG)?.into_file();
        let namespace = format!("/proc/{}/fd/{}", rustix::process::getpid().as_raw_nonzero(), of.as_raw_fd());
        let started = Command::new(PROGRAM)
            .args(["--netns-type=path", "--enable-sandbox", "--enable-seccomp", "--exit-fd=0"])
            // The host's own services on its loopback device are not for containers.
            .arg("--disable-host-loopback")
            .arg(format!("--ready-fd={}", said.as_raw_fd()))
            .arg(format!("--api-socket={API}"))
            .arg(format!("--cidr={}/{PREFIX}", subnet.network()))
            .arg(format!("--mtu={MTU}"))
            .args([namespace.as_str(), DEVICE])
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        drop(said);
        let process = started.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other(format!(
                "there is no `{PROGRAM}`, which networks of containers and published ports need: install Debian's \
                 package `{PROGRAM}`, or write `network: host` without `ports:`"
            )),
            _ => error,
        })?;
        let gateway = Self { process, api: PathBuf::from(API) };
        let mut word = [0];
        if File::from(ready).read(&mut word)? == 0 {
            let said = fs::read_to_string(LOG).unwrap_or_default();
            let last = said.lines().last().unwrap_or_default();
            return Err(io::Error::other(format!("`{PROGRAM}` does not start: {last}")));
        }
        Ok(gateway)
    }

    /// Publishes a port of the container that has the address `to`.
    pub(super) fn publish(&self, port: &PublishedPort, to: Ipv4Addr) -> io::Result<Forward> {
        let address = port.address.as_deref().unwrap_or("0.0.0.0");
        if let Some(number) = port.host {
            return self.add(port, address, number, to).map_err(|error| {
                io::Error::other(format!(
                    "port {number} of `{address}` cannot be published, most likely because something listens there \
                     ({error})"
                ))
            });
        }
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            match self.add(port, address, free()?, to) {
                Ok(forward) => return Ok(forward),
                Err(error) => last = error,
            }
        }
        Err(io::Error::other(format!("no port of `{address}` can be published ({last})")))
    }

    /// Takes a published port back.
    pub(super) fn withdraw(&self, forward: Forward) -> io::Result<()> {
        let request = json!({"execute": "remove_hostfwd", "arguments": {"id": forward.id}});
        self.ask::<serde::de::IgnoredAny>(&request).map(drop)
    }

    fn add(&self, port: &PublishedPort, address: &str, number: u16, to: Ipv4Addr) -> io::Result<Forward> {
        self.ask(&json!({"execute": "add_hostfwd", "arguments": {
            "proto": port.protocol.name(),
            "host_addr": address,
            "host_port": number,
            "guest_addr": to,
            "guest_port": port.container,
        }}))
    }

    /// Asks for one thing; it takes one request from each connection.
    fn ask<T: for<'de> Deserialize<'de>>(&self, request: &serde_json::Value) -> io::Result<T> {
        let mut stream = UnixStream::connect(&self.api)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request.to_string().as_bytes())?;
        stream.shutdown(Shutdown::Write)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        match serde_json::from_slice(&answer)? {
            Answer::Return(it) => Ok(it),
            Answer::Error { desc } => Err(io::Error::other(desc)),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Draws a port.
fn free() -> io::Result<u16> {
    let mut bytes = [0; 2];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let width = FREE.end - FREE.start;
    Ok(FREE.start + u16::from_ne_bytes(bytes) % width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_understood() {
        let read = |text| serde_json::from_str::<Answer<Forward>>(text);
        assert!(matches!(read(r#"{"return":{"id":42}}"#), Ok(Answer::Return(Forward { id: 42 }))));
        let failed = r#"{"error":{"desc":"bad request: add_hostfwd: slirp_add_hostfwd failed"}}"#;
        assert!(matches!(read(failed), Ok(Answer::Error { desc }) if desc.contains("failed")));
        let nothing = serde_json::from_str::<Answer<serde::de::IgnoredAny>>(r#"{"return":{}}"#);
        assert!(matches!(nothing, Ok(Answer::Return(_))));
    }
}
