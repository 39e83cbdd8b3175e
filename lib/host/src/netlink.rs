//! Netlink requests with a timeout.
//!
//! This module does not use the connection of the `rtnetlink` crate, because that connection drops
//! messages that it cannot decode and hides the flag of an interrupted dump. An incomplete dump
//! would look like "absent" or "idle". Here every message arrives, or the request fails.

use std::io;
use std::time::Duration;

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR,
    NLMSG_NOOP, NLMSG_OVERRUN, NetlinkBuffer,
};
use netlink_sys::{AsyncSocket, AsyncSocketExt, TokioSocket};

use crate::error::NetlinkError;
use crate::kernel::Raw;

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER: usize = 16;
/// Messages are aligned to this in a datagram (`NLMSG_ALIGNTO`).
pub(crate) const ALIGN: usize = 4;

/// A netlink socket for consecutive requests.
pub(crate) struct Netlink {
    socket: TokioSocket,
    sequence: u32,
    limit: Duration,
}

/// The progress after one datagram.
pub(crate) struct Progress {
    pub(crate) done: bool,
    pub(crate) interrupted: bool,
}

impl Netlink {
    /// Opens a socket of this netlink family in the network namespace of the calling thread.
    /// Each request over it ends within `limit`.
    pub(crate) fn open(family: isize, limit: Duration) -> Result<Self, NetlinkError> {
        let socket = <TokioSocket as AsyncSocket>::new(family).map_err(NetlinkError::Socket)?;
        Ok(Self { socket, sequence: 0, limit })
    }

    /// A complete dump: the payload of every message. Repeats a dump that changes interrupted while
    /// time is left, because reading has no effect; any other problem is an error.
    pub(crate) async fn dump(
        &mut self,
        kind: u16,
        body: &impl Emitable,
    ) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let limit = self.limit;
        let all = async {
            loop {
                if let Some(messages) = self.dump_once(kind, body).await? {
                    return Ok(messages);
                }
            }
        };
        tokio::time::timeout(limit, all).await.unwrap_or(Err(NetlinkError::Silent(limit)))
    }

    /// One change that the kernel acknowledges.
    pub(crate) async fn change(
        &mut self,
        kind: u16,
        flags: u16,
        body: &impl Emitable,
    ) -> Result<(), NetlinkError> {
        self.ask(kind, flags, body).await.map(drop)
    }

    /// One request that the kernel answers and acknowledges: the payload of its answers.
    pub(crate) async fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        body: &impl Emitable,
    ) -> Result<Vec<Vec<u8>>, NetlinkError> {
        let limit = self.limit;
        let exchange = async {
            self.send(kind, NLM_F_REQUEST | NLM_F_ACK | flags, body).await?;
            let mut answers = Vec::new();
            loop {
                if self.receive(&mut answers).await?.done {
                    return Ok(answers);
                }
            }
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(NetlinkError::Silent(limit)))
    }

    /// Changes that the kernel performs together or not at all, as nf_tables demands it. Each has
    /// its kind, its flags and its body, and is acknowledged; the first and the last only enclose
    /// the others.
    pub(crate) async fn transact(
        &mut self,
        [first, last]: [(u16, Raw); 2],
        changes: &[(u16, u16, Raw)],
    ) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut bytes = self.encode(first.0, NLM_F_REQUEST, &first.1)?;
        for (kind, flags, body) in changes {
            bytes.extend(self.encode(*kind, NLM_F_REQUEST | NLM_F_ACK | flags, body)?);
        }
        bytes.extend(self.encode(last.0, NLM_F_REQUEST, &last.1)?);
        let limit = self.limit;
        let exchange = async {
            self.transmit(&bytes).await?;
            let mut acknowledged = 0;
            while acknowledged < changes.len() {
                acknowledged += usize::from(self.receive(&mut Vec::new()).await?.done);
            }
            Ok(())
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(NetlinkError::Silent(limit)))
    }

    async fn dump_once(
        &mut self,
        kind: u16,
        body: &impl Emitable,
    ) -> Result<Option<Vec<Vec<u8>>>, NetlinkError> {
        self.send(kind, NLM_F_REQUEST | NLM_F_DUMP, body).await?;
        let mut messages = Vec::new();
        let mut complete = true;
        loop {
            let progress = self.receive(&mut messages).await?;
            complete &= !progress.interrupted;
            if progress.done {
                return Ok(complete.then_some(messages));
            }
        }
    }

    async fn send(
        &mut self,
        kind: u16,
        flags: u16,
        body: &impl Emitable,
    ) -> Result<(), NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = self.encode(kind, flags, body)?;
        self.transmit(&bytes).await
    }

    fn encode(&self, kind: u16, flags: u16, body: &impl Emitable) -> Result<Vec<u8>, NetlinkError> {
        let length = HEADER + body.buffer_len();
        let mut bytes = vec![0_u8; length];
        let mut packet = NetlinkBuffer::new(&mut bytes);
        packet.set_length(u32::try_from(length).map_err(too_long)?);
        packet.set_message_type(kind);
        packet.set_flags(flags);
        packet.set_sequence_number(self.sequence);
        body.emit(packet.payload_mut());
        Ok(bytes)
    }

    async fn transmit(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        let sent = self.socket.send(bytes).await.map_err(NetlinkError::Socket)?;
        if sent == bytes.len() { Ok(()) } else { Err(NetlinkError::Incomplete) }
    }

    /// Reads one datagram.
    async fn receive(&mut self, into: &mut Vec<Vec<u8>>) -> Result<Progress, NetlinkError> {
        let (bytes, from) = self.socket.recv_from_full().await.map_err(NetlinkError::Socket)?;
        if from.port_number() != 0 {
            return Err(NetlinkError::Garbled("a datagram is not from the kernel".to_owned()));
        }
        digest(&bytes, self.sequence, into)
    }
}

/// Splits one datagram, which may hold many messages or only a part of the answer.
pub(crate) fn digest(
    bytes: &[u8],
    sequence: u32,
    into: &mut Vec<Vec<u8>>,
) -> Result<Progress, NetlinkError> {
    let mut rest = bytes;
    let mut interrupted = false;
    while !rest.is_empty() {
        let packet = NetlinkBuffer::new_checked(rest)
            .map_err(|error| NetlinkError::Garbled(error.to_string()))?;
        if packet.sequence_number() != sequence {
            return Err(NetlinkError::Garbled("a message answers another request".to_owned()));
        }
        interrupted |= packet.flags() & NLM_F_DUMP_INTR != 0;
        match packet.message_type() {
            NLMSG_NOOP => {}
            NLMSG_OVERRUN => return Err(NetlinkError::Incomplete),
            NLMSG_ERROR | NLMSG_DONE => {
                verdict(packet.payload())?;
                return Ok(Progress { done: true, interrupted });
            }
            _data => into.push(packet.payload().to_vec()),
        }
        let step = packet.payload_length().saturating_add(HEADER).next_multiple_of(ALIGN);
        rest = rest.get(step..).unwrap_or_default();
    }
    Ok(Progress { done: false, interrupted })
}

/// Error number of an acknowledgement or of the end of a dump.
fn verdict(payload: &[u8]) -> Result<(), NetlinkError> {
    let code = payload.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes));
    match code {
        Some(0) => Ok(()),
        Some(code) => {
            Err(NetlinkError::Refused(io::Error::from_raw_os_error(code.saturating_neg())))
        }
        None => Err(NetlinkError::Garbled("a message has no error number".to_owned())),
    }
}

fn too_long(_source: std::num::TryFromIntError) -> NetlinkError {
    NetlinkError::Garbled("the request is too long".to_owned())
}

#[cfg(test)]
#[path = "netlink_tests.rs"]
mod tests;
