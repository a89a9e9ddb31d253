//! A container's side of its network.

use std::{
    io,
    net::Ipv4Addr,
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
};

use fs_err as fs;
use rustix::{
    process::Pid,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use serde::{Deserialize, Serialize};

use super::{
    Join, Reply, Request, connect,
    link::{ETHERNET, LOOPBACK, Netlink},
    receive, send,
};
use crate::{
    ContainerSpec, Network,
    ports::{self, Protocol, PublishedPort},
};

/// How a container is connected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Attachment {
    /// It uses the host's network.
    #[default]
    Host,
    /// Not at all: it has a loopback device.
    Alone,
    /// It is in a network of containers.
    Member(Membership),
}

/// A network of containers that a container is in, and what it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Membership {
    /// The directory of the network.
    directory: PathBuf,
    /// What the others may call it.
    names: Vec<String>,
    /// Its ports that are published.
    ports: Vec<PublishedPort>,
}

impl Attachment {
    /// Says how a container is connected; networks of containers are below `networks`. `Err`: why it cannot be as it is
    /// asked for, a sentence.
    pub(in super::super) fn of(
        spec: &ContainerSpec,
        id: &str,
        hostname: &str,
        networks: &Path,
        rootless: bool,
    ) -> Result<Self, String> {
        let ports = ports::read(&spec.ports)?;
        let group = match (&spec.network, spec.ports.first()) {
            (Network::Host, Some(port)) => {
                return Err(format!(
                    "port `{port}` is not published from the host's own network: a service answers there anyway"
                ));
            }
            (Network::None, Some(port)) => {
                return Err(format!("port `{port}` is not published without a network"));
            }
            (Network::Default | Network::Host, None) => return Ok(Self::Host),
            (Network::None, None) => return Ok(Self::Alone),
            // Only a container with an address of its own has ports of its own.
            (Network::Default, Some(_)) => format!("container-{id}"),
            (Network::Private(name), _) => format!("private-{name}"),
            (Network::Named(name), _) => {
                if !is_name(name) {
                    return Err(format!("`{name}` is no name of a network of the embedded engine"));
                }
                format!("named-{name}")
            }
        };
        if rootless {
            return Err(
                "a network of its own, and published ports, need root: run takelage as root, or write \
                        `network: host` without `ports:`"
                    .to_owned(),
            );
        }
        for port in &ports {
            let address = port.address.as_deref();
            if port.protocol == Protocol::Sctp {
                return Err("the embedded engine publishes ports of tcp and udp only".to_owned());
            }
            if address.is_some_and(|address| address.parse::<Ipv4Addr>().is_err()) {
                return Err(format!(
                    "the embedded engine publishes ports on addresses of IPv4 only, not on `{}`",
                    address.unwrap_or_default()
                ));
            }
        }
        let mut names = vec![hostname.to_owned()];
        let short = hostname.split('.').next().unwrap_or_default();
        for name in [short, spec.name.as_str()] {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        Ok(Self::Member(Membership { directory: networks.join(group), names, ports }))
    }

    /// Whether the network is another one than the host's.
    pub(in super::super) fn is_own(&self) -> bool {
        *self != Self::Host
    }

    /// Returns the directory of the network of containers that it is in.
    pub(in super::super) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Host | Self::Alone => None,
            Self::Member(membership) => Some(&membership.directory),
        }
    }

    /// Moves this process, whose current directory is the container's, into the network namespace of the container's
    /// first process, if that is another one, and sets it up. The network of containers that it is in must be there, and
    /// holds until the returned value is dropped.
    pub(in super::super) fn set_up(&self, first: Pid) -> io::Result<Option<UnixStream>> {
        if !self.is_own() {
            return Ok(None);
        }
        let namespace = fs::File::open(format!("/proc/{}/ns/net", first.as_raw_nonzero()))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let netlink = Netlink::open()?;
        netlink.up(LOOPBACK)?;
        match self {
            Self::Host | Self::Alone => Ok(None),
            Self::Member(membership) => membership.join(&netlink).map(Some),
        }
    }
}

impl Membership {
    /// Has the network namespace of this process connected.
    fn join(&self, netlink: &Netlink) -> io::Result<UnixStream> {
        let stream = connect(&self.directory)?;
        let hosts = std::env::current_dir()?.join("hosts");
        send(&stream, &Request::Join(Join { names: self.names.clone(), hosts, ports: self.ports.clone() }))?;
        let addresses = match receive(&stream)? {
            Reply::Joined(addresses) => addresses,
            Reply::Refused(why) => return Err(io::Error::other(why)),
            Reply::Held => return Err(io::Error::other("the switch of a network answers something else")),
        };
        netlink.address(ETHERNET, addresses.own, addresses.prefix)?;
        netlink.up(ETHERNET)?;
        netlink.default_route(ETHERNET, addresses.gateway)?;
        let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        fs::write("resolv.conf", resolver(&resolv, addresses.resolver))?;
        Ok(stream)
    }
}

/// Puts the network's name server into the place of the host's.
fn resolver(host: &str, address: Ipv4Addr) -> String {
    let stays = |line: &&str| {
        line.split_whitespace().next().is_some_and(|word| ["search", "domain", "options"].contains(&word))
    };
    let nameserver = format!("nameserver {address}");
    let mut lines: Vec<&str> =
        std::iter::once(nameserver.as_str()).chain(host.lines().filter(stays)).collect();
    lines.push("");
    lines.join("\n")
}

/// Whether a network may have this name: what Docker lets a network be called.
fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && characters.all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '-'))
        && name.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageId;

    fn of(network: Network, ports: &[&str], rootless: bool) -> Result<String, String> {
        let mut spec = ContainerSpec::new("takelage-x-web", ImageId(takelage_model::Digest::of("x")));
        spec.network = network;
        spec.ports = ports.iter().map(|port| (*port).to_owned()).collect();
        let attachment = Attachment::of(&spec, "0123", "web.example.org", Path::new("/n"), rootless)?;
        Ok(match attachment {
            Attachment::Host => "host".to_owned(),
            Attachment::Alone => "alone".to_owned(),
            Attachment::Member(it) => format!("{} {}", it.directory.display(), it.names.join(" ")),
        })
    }

    #[test]
    fn who_is_in_which_network() {
        let names = "web.example.org web takelage-x-web";
        let private = Network::Private("a".to_owned());
        for (network, ports, rootless, expected) in [
            (Network::Default, &[][..], true, "host".to_owned()),
            (Network::Host, &[], false, "host".to_owned()),
            (Network::None, &[], true, "alone".to_owned()),
            (Network::Default, &["80:80"], false, format!("/n/container-0123 {names}")),
            (private, &["80:80"], false, format!("/n/private-a {names}")),
            (Network::Named("a".to_owned()), &[], false, format!("/n/named-a {names}")),
        ] {
            assert_eq!(of(network, ports, rootless), Ok(expected));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_a_sentence() {
        let private = || Network::Private("a".to_owned());
        for (network, ports, rootless, word) in [
            (Network::Host, &["80:80"][..], false, "host's own network"),
            (Network::None, &["80:80"], false, "without a network"),
            (private(), &["80:80/sctp"], false, "tcp and udp"),
            (private(), &["[::1]:80:80"], false, "IPv4"),
            (private(), &["x"], false, "`x`"),
            (private(), &[], true, "root"),
            (Network::Named("container:other".to_owned()), &[], false, "`container:other`"),
            (Network::Named("../../etc".to_owned()), &[], false, "no name"),
        ] {
            let refused = of(network.clone(), ports, rootless).unwrap_err();
            assert!(refused.contains(word), "{network:?}: {refused}");
        }
    }

    #[test]
    fn the_name_server_is_replaced_and_the_rest_stays() {
        let host = "# comment\nnameserver 192.0.2.1\nsearch example.org\noptions ndots:2\n";
        assert_eq!(
            resolver(host, Ipv4Addr::new(10, 94, 0, 3)),
            "nameserver 10.94.0.3\nsearch example.org\noptions ndots:2\n"
        );
    }
}
