//! The host, as containers reach it.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use super::Attachment;

/// What stands for the host's address in `NAME:ADDRESS`; Docker's word.
const HOST: &str = "host-gateway";
/// An address of the outside that nobody has, to ask the kernel which way it would go there.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);

impl Attachment {
    /// Returns the line of `/etc/hosts` that `NAME:ADDRESS` asks for. `Err`: why there is none, a sentence.
    pub(in super::super) fn extra_host(&self, pair: &str) -> Result<String, String> {
        let refused = || format!("`{pair}` is no `NAME:ADDRESS`; the address may be `{HOST}`");
        let (name, address) =
            pair.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(refused)?;
        let address = if address == HOST { self.host()? } else { address.parse().map_err(|_| refused())? };
        Ok(format!("{address} {name}\n"))
    }

    /// Returns the address at which a container reaches its host.
    fn host(&self) -> Result<IpAddr, String> {
        match self {
            Self::Host => Ok(Ipv4Addr::LOCALHOST.into()),
            // `slirp4netns` gives the host no address in the network; the host's own one leads there.
            Self::Alone | Self::Member(_) => own_address().ok_or_else(|| {
                format!("`{HOST}` has no address: this host has none but that of its loopback device")
            }),
        }
    }
}

/// Returns the address that the host has for others. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((OUTSIDE, 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts_are_lines_or_are_refused() {
        let line = |pair| Attachment::Host.extra_host(pair);
        assert_eq!(line("pier:192.0.2.1"), Ok("192.0.2.1 pier\n".to_owned()));
        assert_eq!(line("pier:2001:db8::1"), Ok("2001:db8::1 pier\n".to_owned()));
        assert_eq!(line("outside:host-gateway"), Ok("127.0.0.1 outside\n".to_owned()));
        for pair in ["pier", "pier:", ":192.0.2.1", "pier:somewhere", "pier:192.0.2.1\n127.0.0.1"] {
            assert!(line(pair).is_err(), "{pair}");
        }
        // Where this machine has an address, it is that of another device.
        let alone = Attachment::Alone.extra_host("outside:host-gateway");
        assert_eq!(alone.as_deref().ok(), own_address().map(|it| format!("{it} outside\n")).as_deref());
        assert!(!alone.is_ok_and(|line| line.starts_with("127.")));
    }
}
