//! Devices, addresses and routes of the network namespace that a process is in.

use std::{io, net::Ipv4Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

/// The largest packet, in bytes: as large as `slirp4netns` takes, for large ones are fast ones.
pub(super) const MTU: u32 = 65520;
/// The number that the loopback device has in each namespace.
pub(super) const LOOPBACK: u32 = 1;
/// The number of the device of a container. The kernel gives numbers from the lowest on.
pub(super) const ETHERNET: u32 = 1000;

/// A connection to the kernel about one network namespace: the one that this process was in when it was opened.
pub(super) struct Netlink(Socket);

impl Netlink {
    /// Opens one.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        Ok(Self(socket))
    }

    /// Makes a bridge.
    pub(super) fn bridge(&self, name: &str, index: u32) -> io::Result<()> {
        let mut link = up(index);
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Mtu(MTU),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
        ];
        self.make(RouteNetlinkMessage::NewLink(link))
    }

    /// Makes a cable from a bridge to the network namespace of a process, where its end is called `eth0`.
    pub(super) fn cable(
        &self,
        name: &str,
        index: u32,
        bridge: u32,
        process: u32,
        hardware: [u8; 6],
    ) -> io::Result<()> {
        let mut end = LinkMessage::default();
        end.header.index = ETHERNET;
        end.attributes = vec![
            LinkAttribute::IfName("eth0".to_owned()),
            LinkAttribute::Address(hardware.to_vec()),
            LinkAttribute::Mtu(MTU),
            LinkAttribute::NetNsPid(process),
        ];
        let mut link = up(index);
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Mtu(MTU),
            LinkAttribute::Controller(bridge),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(end))),
            ]),
        ];
        self.make(RouteNetlinkMessage::NewLink(link))
    }

    /// Plugs a device into a bridge and puts it up.
    pub(super) fn plug(&self, name: &str, bridge: u32) -> io::Result<()> {
        let mut link = up(0);
        link.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Mtu(MTU),
            LinkAttribute::Controller(bridge),
        ];
        self.request(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Puts a device up.
    pub(super) fn up(&self, index: u32) -> io::Result<()> {
        self.request(RouteNetlinkMessage::SetLink(up(index)), 0)
    }

    /// Removes a device, and the other end with it if it is a cable.
    pub(super) fn remove(&self, index: u32) -> io::Result<()> {
        let mut link = LinkMessage::default();
        link.header.index = index;
        self.request(RouteNetlinkMessage::DelLink(link), 0)
    }

    /// Gives a device an address.
    pub(super) fn address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = prefix;
        message.header.index = index;
        let broadcast = Ipv4Addr::from(u32::from(address) | u32::MAX.checked_shr(prefix.into()).unwrap_or(0));
        message.attributes = vec![
            AddressAttribute::Local(address.into()),
            AddressAttribute::Address(address.into()),
            AddressAttribute::Broadcast(broadcast),
        ];
        self.make(RouteNetlinkMessage::NewAddress(message))
    }

    /// Says where everything goes that has no other way.
    pub(super) fn default_route(&self, index: u32, gateway: Ipv4Addr) -> io::Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message.attributes =
            vec![RouteAttribute::Gateway(RouteAddress::Inet(gateway)), RouteAttribute::Oif(index)];
        self.make(RouteNetlinkMessage::NewRoute(message))
    }

    fn make(&self, message: RouteNetlinkMessage) -> io::Result<()> {
        self.request(message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Asks for one thing and waits until it is done.
    fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut buffer = vec![0; packet.buffer_len()];
        packet.serialize(&mut buffer);
        self.0.send(&buffer, 0)?;
        let (answer, _) = self.0.recv_from_full()?;
        let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
        match answer.payload {
            NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
            NetlinkPayload::Error(error) => Err(error.to_io()),
            other => Err(io::Error::other(format!("the kernel answers {other:?}"))),
        }
    }
}

fn up(index: u32) -> LinkMessage {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    link
}
