//! Kernel objects, read and written over netlink.
//!
//! The decoders read only the attributes that are needed: additions of a newer kernel cannot break
//! a dump, but a needed attribute that is malformed fails it.

pub(crate) mod address;
pub(crate) mod link;
pub(crate) mod members_table;
pub(crate) mod nat;
pub(crate) mod neighbour;
pub(crate) mod route;
pub(crate) mod rp_filter_and_arp;
pub(crate) mod rule;
pub(crate) mod socket;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use netlink_packet_core::{Emitable, NLA_F_NESTED, NLA_TYPE_MASK};

use crate::error::{HostError, NetlinkError};
use crate::netlink::Netlink;

/// Length of an attribute's header (`struct nlattr`).
const ATTRIBUTE_HEADER: usize = 4;

/// The attributes of one message, by kind.
pub(crate) struct Attributes<'a>(BTreeMap<u16, &'a [u8]>);

impl<'a> Attributes<'a> {
    /// The attributes after a fixed part of `skip` bytes.
    pub(crate) fn after(payload: &'a [u8], skip: usize) -> Result<Self, NetlinkError> {
        Self::of(payload.get(skip..).ok_or_else(cut)?)
    }

    /// The attributes in these bytes, which may be the value of a nested attribute.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Self, NetlinkError> {
        let mut found = BTreeMap::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let [a, b, c, d] = *rest.first_chunk::<ATTRIBUTE_HEADER>().ok_or_else(cut)?;
            let length = usize::from(u16::from_ne_bytes([a, b]));
            let value = rest.get(ATTRIBUTE_HEADER..length).ok_or_else(cut)?;
            found.insert(u16::from_ne_bytes([c, d]) & NLA_TYPE_MASK, value);
            rest = rest.get(length.next_multiple_of(ATTRIBUTE_HEADER)..).unwrap_or_default();
        }
        Ok(Self(found))
    }

    pub(crate) fn bytes(&self, kind: u16) -> Option<&'a [u8]> {
        self.0.get(&kind).copied()
    }

    pub(crate) fn fixed<const N: usize>(&self, kind: u16) -> Result<Option<[u8; N]>, NetlinkError> {
        let exact = |bytes: &[u8]| bytes.try_into().map_err(|_length| cut());
        self.bytes(kind).map(exact).transpose()
    }

    pub(crate) fn u8(&self, kind: u16) -> Result<Option<u8>, NetlinkError> {
        Ok(self.fixed(kind)?.map(|[value]| value))
    }

    pub(crate) fn u32(&self, kind: u16) -> Result<Option<u32>, NetlinkError> {
        Ok(self.fixed(kind)?.map(u32::from_ne_bytes))
    }

    pub(crate) fn ipv4(&self, kind: u16) -> Result<Option<Ipv4Addr>, NetlinkError> {
        Ok(self.fixed::<4>(kind)?.map(Ipv4Addr::from))
    }

    /// A text that ends at the first zero byte, like the kernel's names.
    pub(crate) fn text(&self, kind: u16) -> Option<String> {
        let bytes = self.bytes(kind)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned())
    }
}

/// The elements of a list; all have the same kind.
pub(crate) fn elements(list: &[u8]) -> Result<Vec<Attributes<'_>>, NetlinkError> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some([a, b, _kind, _of]) = rest.first_chunk::<ATTRIBUTE_HEADER>() {
        let length = usize::from(u16::from_ne_bytes([*a, *b]));
        found.push(Attributes::of(rest.get(ATTRIBUTE_HEADER..length).ok_or_else(cut)?)?);
        rest = rest.get(length.next_multiple_of(ATTRIBUTE_HEADER)..).unwrap_or_default();
    }
    Ok(found)
}

/// The fixed part at the start of a message.
pub(crate) fn fixed_part<const N: usize>(payload: &[u8]) -> Result<[u8; N], NetlinkError> {
    payload.first_chunk::<N>().copied().ok_or_else(cut)
}

pub(crate) fn cut() -> NetlinkError {
    NetlinkError::Garbled("a message is truncated".to_owned())
}

/// A raw message body.
#[derive(Clone)]
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Raw {
    /// Appends an attribute that contains others.
    pub(crate) fn nested(self, kind: u16, inner: &Self) -> Self {
        self.attribute(kind | NLA_F_NESTED, &inner.0)
    }

    /// Appends a text that ends with a zero byte.
    pub(crate) fn text(self, kind: u16, text: &str) -> Self {
        self.attribute(kind, &[text.as_bytes(), &[0]].concat())
    }

    /// Appends a number in network byte order, as nf_tables has them.
    pub(crate) fn number(self, kind: u16, number: u32) -> Self {
        self.attribute(kind, &number.to_be_bytes())
    }

    /// Appends an attribute.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + ATTRIBUTE_HEADER).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(ATTRIBUTE_HEADER), 0);
        self
    }
}

impl Emitable for Raw {
    fn buffer_len(&self) -> usize {
        self.0.len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.0);
    }
}

/// Everything of one kind in this network namespace, parsed by `decode`, which skips what is not
/// wanted.
pub(crate) async fn list<T>(
    netlink: &mut Netlink,
    (kind, body): (u16, &impl Emitable),
    what: &'static str,
    decode: impl Fn(&[u8]) -> Result<Option<T>, NetlinkError>,
) -> Result<Vec<T>, HostError> {
    let messages = netlink.dump(kind, body).await;
    let found: Result<Vec<Option<T>>, NetlinkError> =
        messages.and_then(|all| all.iter().map(|bytes| decode(bytes)).collect());
    Ok(found.map_err(failed("list", what))?.into_iter().flatten().collect())
}

/// Adds the operation and the object to the error of a request.
pub(crate) fn failed(
    operation: &'static str,
    object: &(impl ToString + ?Sized),
) -> impl FnOnce(NetlinkError) -> HostError {
    let object = object.to_string();
    move |source| HostError::Kernel { operation, object, source }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn attribute_longer_than_the_message_fails_it() {
        assert!(Attributes::of(&[8, 0, 1, 0, 1, 2]).is_err());
        assert!(Attributes::of(&[3, 0, 1, 0]).is_err());
        assert!(Attributes::of(&[0, 0, 0, 0]).is_err());
        assert!(Attributes::of(&[4, 0]).is_err());
    }

    proptest! {
        #[test]
        fn attributes_round_trip(
            items in prop::collection::btree_map(
                1_u16..100,
                prop::collection::vec(any::<u8>(), 0..40),
                0..8,
            )
        ) {
            let none = Raw(Vec::new());
            let raw = items.iter().fold(none, |raw, (kind, value)| raw.attribute(*kind, value));
            let read = Attributes::of(&raw.0).unwrap();
            prop_assert_eq!(read.0.len(), items.len());
            for (kind, value) in &items {
                prop_assert_eq!(read.bytes(*kind), Some(value.as_slice()));
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic_or_hang(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            drop(Attributes::of(&bytes));
            drop(elements(&bytes).map(|all| all.len()));
        }
    }
}
