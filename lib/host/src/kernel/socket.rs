//! Sockets, by sock_diag.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use firecamp_core::ports::SocketUse;
use netlink_packet_core::Parseable;
use netlink_packet_sock_diag::inet::{
    ExtensionFlags, InetRequest, InetResponseHeader, SocketId, StateFlags,
};
use nix::libc::{ENOENT, IPPROTO_TCP, IPPROTO_UDP};

use super::failed;
use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
/// A TCP socket that is bound but neither listens nor connects; kernels before 6.8 do not list it.
const BOUND_INACTIVE: u8 = 13;

/// The transport of a request.
#[derive(Clone, Copy)]
enum Transport {
    Tcp,
    Udp,
}

/// Counts the sockets of this network namespace that use this address. The kernel ignores an
/// address in the request, so the function reads all sockets. A dual-stack socket is listed only
/// under IPv6, with a mapped address.
pub(crate) async fn count(
    netlink: &mut Netlink,
    address: Ipv4Addr,
) -> Result<SocketUse, HostError> {
    let mut used = SocketUse::default();
    for transport in [Transport::Tcp, Transport::Udp] {
        for family in [AF_INET, AF_INET6] {
            let messages = netlink.dump(SOCK_DIAG_BY_FAMILY, &request(transport, family)).await;
            let found: Result<Vec<InetResponseHeader>, NetlinkError> =
                messages.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
            let what = format!("the sockets on {address} (does this kernel have sock_diag?)");
            for socket in found.map_err(failed("list", &what))? {
                note(&mut used, transport, &socket, address);
            }
        }
    }
    Ok(used)
}

/// Whether this network namespace has the end of a TCP connection that is at the first address.
pub(crate) async fn is_connected(
    netlink: &mut Netlink,
    (local, remote): (SocketAddrV4, SocketAddrV4),
) -> Result<bool, HostError> {
    let mut exact = request(Transport::Tcp, AF_INET);
    exact.socket_id = SocketId {
        source_port: local.port(),
        destination_port: remote.port(),
        source_address: IpAddr::V4(*local.ip()),
        destination_address: IpAddr::V4(*remote.ip()),
        interface_id: 0,
        // `INET_DIAG_NOCOOKIE`
        cookie: [0xff; 8],
    };
    match netlink.ask(SOCK_DIAG_BY_FAMILY, 0, &exact).await {
        Ok(_found) => Ok(true),
        Err(error) if error.errno() == Some(ENOENT) => Ok(false),
        Err(source) => Err(failed("look up", "the connection of a pod")(source)),
    }
}

fn request(transport: Transport, family: u8) -> InetRequest {
    let (protocol, states) = match transport {
        Transport::Tcp => (IPPROTO_TCP, !((1 << TIME_WAIT) | (1 << CLOSE) | (1 << BOUND_INACTIVE))),
        // Every unconnected UDP socket is in the state `CLOSE`.
        Transport::Udp => (IPPROTO_UDP, u32::MAX),
    };
    InetRequest {
        family,
        protocol: u8::try_from(protocol).unwrap_or(u8::MAX),
        extensions: ExtensionFlags::empty(),
        states: StateFlags::from_bits_retain(states),
        socket_id: if family == AF_INET { SocketId::new_v4() } else { SocketId::new_v6() },
    }
}

pub(crate) fn decode(payload: &[u8]) -> Result<InetResponseHeader, NetlinkError> {
    InetResponseHeader::parse(payload).map_err(|error| NetlinkError::Garbled(error.to_string()))
}

fn note(used: &mut SocketUse, transport: Transport, socket: &InetResponseHeader, at: Ipv4Addr) {
    let local = match socket.socket_id.source_address {
        IpAddr::V4(local) => Some(local),
        IpAddr::V6(local) => local.to_ipv4_mapped(),
    };
    if local != Some(at) {
        return;
    }
    let counter = match (transport, socket.state) {
        (Transport::Udp, _) => &mut used.datagrams,
        (Transport::Tcp, TIME_WAIT | CLOSE | BOUND_INACTIVE) => return,
        (Transport::Tcp, LISTEN) => &mut used.listeners,
        (Transport::Tcp, _) => &mut used.connections,
    };
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

    fn socket(state: u8, local: IpAddr) -> InetResponseHeader {
        let mut socket_id = SocketId::new_v6();
        socket_id.source_address = local;
        InetResponseHeader {
            family: AF_INET6,
            state,
            timer: None,
            socket_id,
            recv_queue: 0,
            send_queue: 0,
            uid: 0,
            inode: 0,
        }
    }

    fn counted(transport: Transport, state: u8, local: IpAddr) -> SocketUse {
        let mut used = SocketUse::default();
        note(&mut used, transport, &socket(state, local), HERE);
        used
    }

    #[test]
    fn a_half_open_connection_counts_and_time_wait_does_not() {
        let (syn_recv, new_syn_recv) = (3, 12);
        for state in [1, 2, syn_recv, 4, 5, 8, 9, 11, new_syn_recv] {
            assert_eq!(counted(Transport::Tcp, state, HERE.into()).connections, 1, "{state}");
        }
        for state in [TIME_WAIT, CLOSE, BOUND_INACTIVE] {
            assert_eq!(counted(Transport::Tcp, state, HERE.into()), SocketUse::default());
        }
    }

    #[test]
    fn mapped_addresses_count_and_wildcards_do_not() {
        let mapped = IpAddr::V6(HERE.to_ipv6_mapped());
        assert_eq!(counted(Transport::Tcp, LISTEN, mapped).listeners, 1);
        let any = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);
        assert_eq!(counted(Transport::Tcp, LISTEN, any), SocketUse::default());
        let compatible = IpAddr::V6(HERE.to_ipv6_compatible());
        assert_eq!(counted(Transport::Tcp, LISTEN, compatible), SocketUse::default());
    }

    #[test]
    fn sockets_on_other_addresses_do_not_count() {
        let neighbour = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 50));
        assert_eq!(counted(Transport::Udp, CLOSE, neighbour), SocketUse::default());
    }

    #[test]
    fn a_truncated_answer_is_an_error() {
        assert!(decode(&[AF_INET, 10, 0]).is_err());
    }
}
