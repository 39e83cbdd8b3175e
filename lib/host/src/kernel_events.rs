//! Kernel events: the rtnetlink multicast groups, filtered for FireCamp.

use firecamp_core::failure::HostFailure;
use firecamp_node::kernel::Change;
use netlink_packet_core::NetlinkBuffer;
use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket};
use nix::libc::ENOBUFS;

use crate::error::{HostError, NetlinkError};
use crate::kernel::{address, failed, route, rule};
use crate::netlink::{ALIGN, HEADER};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR`, `RTNLGRP_IPV4_ROUTE`, `RTNLGRP_IPV4_RULE`.
const GROUPS: [u32; 4] = [1, 5, 7, 8];
const NEW_LINK: u16 = 16;
const DELETED_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const DELETED_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const DELETED_ROUTE: u16 = 25;
const NEW_RULE: u16 = 32;
const DELETED_RULE: u16 = 33;

/// A subscription to kernel events in the network namespace of the thread that opened it.
///
/// The only queue is the kernel's socket buffer, which is bounded: a slow reader gets
/// [`Change::Overrun`] and must read the complete state.
pub struct Monitor {
    socket: TokioSocket,
}

impl Monitor {
    /// Subscribes to events from now on.
    pub fn open() -> Result<Self, HostFailure> {
        let opened = subscribe().map_err(NetlinkError::Socket);
        let socket = opened.map_err(failed("subscribe to", "kernel events"))?;
        Ok(Self { socket })
    }

    /// Waits without a timeout for the next relevant message and returns its changes. Cancel-safe.
    pub async fn changed(&mut self) -> Result<Vec<Change>, HostFailure> {
        loop {
            let changes = match self.socket.recv_from_full().await {
                // Ignore messages that are not from the kernel.
                Ok((_bytes, from)) if from.port_number() != 0 => Vec::new(),
                Ok((bytes, _kernel)) => changes(&bytes),
                Err(error) if error.raw_os_error() == Some(ENOBUFS) => vec![Change::Overrun],
                Err(error) => return Err(broken(NetlinkError::Socket(error)).into()),
            };
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }
}

fn broken(source: NetlinkError) -> HostError {
    failed("follow", "kernel events")(source)
}

fn subscribe() -> std::io::Result<TokioSocket> {
    let mut socket = <TokioSocket as AsyncSocket>::new(netlink_sys::protocols::NETLINK_ROUTE)?;
    // An unbound socket does not receive multicasts caused by other unbound sockets.
    socket.socket_mut().bind_auto()?;
    for group in GROUPS {
        socket.socket_mut().add_membership(group)?;
    }
    Ok(socket)
}

/// The changes in one datagram. A message that cannot be parsed counts as an overrun.
pub fn changes(bytes: &[u8]) -> Vec<Change> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let Ok(packet) = NetlinkBuffer::new_checked(rest) else {
            found.push(Change::Overrun);
            return found;
        };
        let read = change(packet.message_type(), packet.payload());
        found.extend(read.unwrap_or(Some(Change::Overrun)));
        let step = packet.payload_length().saturating_add(HEADER).next_multiple_of(ALIGN);
        rest = rest.get(step..).unwrap_or_default();
    }
    found
}

fn change(kind: u16, payload: &[u8]) -> Result<Option<Change>, NetlinkError> {
    Ok(match kind {
        NEW_LINK | DELETED_LINK => Some(Change::Link),
        NEW_ADDRESS | DELETED_ADDRESS => {
            let one = address::decode(payload)?;
            (one.prefix == 32).then_some(Change::Address(one.local))
        }
        NEW_ROUTE | DELETED_ROUTE => {
            route::decode(payload)?.filter(|one| one.ours).map(|_ours| Change::Routing)
        }
        NEW_RULE | DELETED_RULE => rule::decode(payload)?.map(|_ours| Change::Routing),
        _of_other_groups => None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(HEADER + payload.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend_from_slice(payload);
        bytes
    }

    /// `struct ifaddrmsg` of a /32 and its IFA_LOCAL.
    const ADDRESS: [u8; 16] = [2, 32, 0, 0, 1, 0, 0, 0, 8, 0, 2, 0, 10, 0, 1, 10];

    #[test]
    fn a_datagram_with_two_messages_yields_two_changes() {
        let mut bytes = message(DELETED_ADDRESS, &ADDRESS);
        bytes.extend(message(NEW_LINK, &[0; 16]));
        assert_eq!(changes(&bytes), [Change::Address([10, 0, 1, 10].into()), Change::Link]);
    }

    #[test]
    fn unparsable_message_counts_as_an_overrun() {
        assert_eq!(changes(&message(DELETED_ADDRESS, &ADDRESS[..7])), [Change::Overrun]);
        assert_eq!(changes(&[1, 2, 3]), [Change::Overrun]);
    }

    #[test]
    fn wider_prefixes_and_other_message_types_are_ignored() {
        let mut wider = ADDRESS;
        wider[1] = 24;
        assert_eq!(changes(&message(NEW_ADDRESS, &wider)), []);
        assert_eq!(changes(&message(99, &[])), []);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic_or_hang(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            changes(&bytes);
        }
    }
}
