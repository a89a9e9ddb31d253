//! Which addresses a network has.

use std::net::Ipv4Addr;

/// How many bits of an address are the network's.
pub(super) const PREFIX: u8 = 24;
const MASK: u32 = !0 << (32 - PREFIX);
/// The last numbers of containers' addresses.
const FIRST: u8 = 10;
const LAST: u8 = 254;

/// The addresses of one network. Others may have the same: no network sees another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet(u32);

impl Subnet {
    /// Returns one that hides nothing the host has a route to, by the kernel's table of routes. `None`: there is none.
    pub(super) fn free(routes: &str) -> Option<Self> {
        let taken: Vec<(u32, u32)> = routes.lines().filter_map(route).collect();
        let private = [[10, 94], [172, 30], [192, 168]];
        private
            .iter()
            .flat_map(|[a, b]| (0..=255).map(|c| u32::from(Ipv4Addr::new(*a, *b, c, 0))))
            .find(|subnet| !taken.iter().any(|(address, mask)| (subnet ^ address) & mask & MASK == 0))
            .map(Self)
    }

    /// Returns the network itself.
    pub(super) fn network(self) -> Ipv4Addr {
        Ipv4Addr::from(self.0)
    }

    /// Where `slirp4netns` takes everything that is not within the network.
    pub(super) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.0 | 2)
    }

    /// Where `slirp4netns` answers for the host's name server.
    pub(super) fn resolver(self) -> Ipv4Addr {
        Ipv4Addr::from(self.0 | 3)
    }

    /// Returns a container's address.
    pub(super) fn member(self, number: u8) -> Ipv4Addr {
        Ipv4Addr::from(self.0 | u32::from(number))
    }
}

/// Returns the number of a container's address: the next after `last` that is not taken. `None`: all are.
pub(super) fn number(last: Option<u8>, is_taken: impl Fn(u8) -> bool) -> Option<u8> {
    let next = last.map_or(FIRST, |last| last.saturating_add(1).max(FIRST));
    (next..=LAST).chain(FIRST..=LAST).find(|number| !is_taken(*number))
}

/// Reads address and mask of a line of `/proc/net/route`. `None`: it has none, or it is a way to everything.
fn route(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.split_whitespace();
    // The kernel writes an address in the order of the network as if it were a number in the order of this machine.
    let mut hexadecimal = |skip| {
        u32::from_str_radix(fields.nth(skip)?, 16).ok().map(|word| u32::from_be_bytes(word.to_ne_bytes()))
    };
    let (address, mask) = (hexadecimal(1)?, hexadecimal(5)?);
    (mask != 0).then_some((address, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

    fn table(routes: &[(Ipv4Addr, Ipv4Addr)]) -> String {
        let word = |address: Ipv4Addr| format!("{:08X}", u32::from_ne_bytes(address.octets()));
        let line = |(to, mask): &(Ipv4Addr, Ipv4Addr)| {
            format!("eth0\t{}\t00000000\t0003\t0\t0\t0\t{}\t0\t0\t0", word(*to), word(*mask))
        };
        let lines: Vec<String> = std::iter::once(HEAD.to_owned()).chain(routes.iter().map(line)).collect();
        lines.join("\n")
    }

    #[test]
    fn a_network_hides_no_route_of_the_host() {
        let free = |routes: &[_]| Subnet::free(&table(routes)).map(Subnet::network);
        let everything = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
        assert_eq!(free(&[]), Some(Ipv4Addr::new(10, 94, 0, 0)));
        assert_eq!(free(&[everything]), Some(Ipv4Addr::new(10, 94, 0, 0)));
        let narrow = (Ipv4Addr::new(10, 94, 0, 128), Ipv4Addr::new(255, 255, 255, 128));
        assert_eq!(free(&[narrow]), Some(Ipv4Addr::new(10, 94, 1, 0)));
        let wide = (Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(255, 0, 0, 0));
        assert_eq!(free(&[wide]), Some(Ipv4Addr::new(172, 30, 0, 0)));
        let half = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::new(128, 0, 0, 0));
        let other_half = (Ipv4Addr::new(128, 0, 0, 0), Ipv4Addr::new(128, 0, 0, 0));
        assert_eq!(free(&[half, other_half]), None);
    }

    #[test]
    fn numbers_are_used_again_as_late_as_possible() {
        assert_eq!(number(None, |_| false), Some(FIRST));
        assert_eq!(number(Some(FIRST), |_| false), Some(FIRST + 1));
        assert_eq!(number(Some(LAST), |number| number == FIRST), Some(FIRST + 1));
        assert_eq!(number(Some(20), |_| true), None);
    }
}
