//! Published ports, as `docker run --publish` takes them.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// A port of a container that is published on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublishedPort {
    /// The host's address; all of its addresses if none.
    pub(crate) address: Option<String>,
    /// The host's port; a free one if none.
    pub(crate) host: Option<u16>,
    /// The container's port.
    pub(crate) container: u16,
    /// What is spoken there.
    pub(crate) protocol: Protocol,
}

/// Protocols that have ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// Its name in lower case.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    fn of(name: &str) -> Option<Self> {
        [Self::Tcp, Self::Udp, Self::Sctp].into_iter().find(|protocol| protocol.name() == name)
    }
}

/// Reads published ports, `[[ADDRESS:][HOST]:]CONTAINER[/PROTOCOL]`, ranges `FIRST-LAST` included. `Err`: a sentence
/// about the first that is none.
pub(crate) fn read(ports: &[String]) -> Result<Vec<PublishedPort>, String> {
    let mut published = Vec::new();
    for port in ports {
        let read = read_one(port);
        published.extend(read.ok_or_else(|| {
            format!("`{port}` is no published port; write `[ADDRESS:]HOST:CONTAINER[/udp]`")
        })?);
    }
    Ok(published)
}

fn read_one(port: &str) -> Option<Vec<PublishedPort>> {
    let (rest, protocol) = port.rsplit_once('/').unwrap_or((port, "tcp"));
    let protocol = Protocol::of(protocol)?;
    let (rest, container) = rest.rsplit_once(':').map_or(("", rest), |(rest, container)| (rest, container));
    let (address, host) = rest.rsplit_once(':').unwrap_or(("", rest));
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let container = range(container)?;
    let host = if host.is_empty() { None } else { Some(range(host)?) };
    if host.as_ref().is_some_and(|host| host.len() != container.len()) {
        return None;
    }
    let one = |(offset, inside)| PublishedPort {
        address: (!address.is_empty()).then(|| address.to_owned()),
        host: host.clone().and_then(|mut host| host.nth(offset)),
        container: inside,
        protocol,
    };
    Some(container.enumerate().map(one).collect())
}

/// Reads a port or a range of ports.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    (0 < first && first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(port: &str) -> Option<Vec<PublishedPort>> {
        read(&[port.to_owned()]).ok()
    }

    #[test]
    fn ports_are_read_as_docker_run_reads_them() {
        let one = |container, protocol, address: Option<&str>, host| {
            Some(vec![PublishedPort { address: address.map(str::to_owned), host, container, protocol }])
        };
        assert_eq!(published("80"), one(80, Protocol::Tcp, None, None));
        assert_eq!(published("8080:80"), one(80, Protocol::Tcp, None, Some(8080)));
        assert_eq!(published("127.0.0.1:8080:80/udp"), one(80, Protocol::Udp, Some("127.0.0.1"), Some(8080)));
        assert_eq!(published("127.0.0.1::80"), one(80, Protocol::Tcp, Some("127.0.0.1"), None));
        assert_eq!(published("[::1]:8080:80"), one(80, Protocol::Tcp, Some("::1"), Some(8080)));
        let range = published("8000-8002:9000-9002").unwrap();
        assert_eq!((range.len(), range[2].host, range[2].container), (3, Some(8002), 9002));
        for wrong in ["", "x", "80:", "0", "70000", "1-2:3", "5-2", "80/icmp", "a:80"] {
            assert_eq!(published(wrong), None, "{wrong}");
        }
    }
}
