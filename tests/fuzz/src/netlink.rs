//! The kernel's responses over rtnetlink and sock_diag.
//!
//! Input: the kind of list, a position to truncate at, and then either a raw datagram, or the
//! payloads of a well-formed one.

use std::net::IpAddr;

use firecamp_host::parse_netlink_dump::{Datagram, Entry, List, read};

use crate::carrier::is_one_short_line;
use crate::draw::Draw;

const SEQUENCE: u32 = 7;
const HEADER: usize = 16;
const ALIGN: usize = 4;
const LISTS: [List; 6] =
    [List::Addresses, List::Links, List::Routes, List::Rules, List::Filters, List::Sockets];
const INTERRUPTED: u16 = 0x10;
const NOOP: u16 = 1;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;
const DATA: u16 = 20;

/// No bytes make the reader panic or loop. A datagram that is truncated, malformed, late or an
/// error is never a complete list, and every value of an entry comes from a message.
pub fn netlink(input: &[u8]) {
    let mut draw = Draw::new(input);
    let kind = draw.byte();
    let list = LISTS.get(usize::from(kind >> 1) % LISTS.len()).copied().unwrap_or(List::Links);
    let cut = draw.below(4096);
    let bytes = if kind.is_multiple_of(2) { datagram(draw) } else { draw.rest().to_vec() };
    let whole = read(list, SEQUENCE, &bytes);
    let wanted = walk(&bytes);
    match (&whole, &wanted) {
        (Ok(found), Some(frame)) => compare(list, found, frame),
        (Ok(found), None) => panic!("{bytes:?} is not a valid datagram, but was read as {found:?}"),
        (Err(failure), _) => assert!(is_one_short_line(&failure.detail), "{}", failure.detail),
    }
    let end = wanted.map_or(bytes.len(), |frame| frame.end);
    let rest = bytes.get(..cut.min(end.saturating_sub(1))).unwrap_or_default();
    assert!(
        !read(list, SEQUENCE, rest).is_ok_and(|found| found.done),
        "a datagram truncated at {} was read as complete",
        rest.len()
    );
}

fn datagram(mut draw: Draw<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !draw.is_empty() {
        let flags = if draw.byte() == 1 { INTERRUPTED } else { 0 };
        append(&mut bytes, DATA, flags, draw.piece());
    }
    append(&mut bytes, DONE, 0, &[0; 4]);
    bytes
}

fn append(bytes: &mut Vec<u8>, kind: u16, flags: u16, payload: &[u8]) {
    let length = u32::try_from(HEADER + payload.len()).expect("a piece is short");
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
}

/// A datagram, parsed in the simplest way.
struct Frame {
    messages: Vec<Vec<u8>>,
    done: bool,
    interrupted: bool,
    /// The end of the last message that was parsed.
    end: usize,
}

fn walk(bytes: &[u8]) -> Option<Frame> {
    let mut frame = Frame { messages: Vec::new(), done: false, interrupted: false, end: 0 };
    while frame.end < bytes.len() {
        let rest = bytes.get(frame.end..)?;
        let length = usize::try_from(u32::from_ne_bytes(field(rest, 0)?)).ok()?;
        let payload = rest.get(HEADER..length)?;
        let kind = u16::from_ne_bytes(field(rest, 4)?);
        let flags = u16::from_ne_bytes(field(rest, 6)?);
        if u32::from_ne_bytes(field(rest, 8)?) != SEQUENCE || kind == OVERRUN {
            return None;
        }
        frame.interrupted |= flags & INTERRUPTED != 0;
        frame.end += length;
        if kind == DONE || kind == ERROR {
            frame.done = true;
            return (field(payload, 0)? == [0; 4]).then_some(frame);
        }
        if kind != NOOP {
            frame.messages.push(payload.to_vec());
        }
        frame.end = frame.end.next_multiple_of(ALIGN).min(bytes.len());
    }
    Some(frame)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn compare(list: List, found: &Datagram, frame: &Frame) {
    assert_eq!((found.done, found.interrupted), (frame.done, frame.interrupted));
    let (entries, messages) = (found.entries.len(), frame.messages.len());
    match list {
        List::Routes | List::Rules => assert!(entries <= messages),
        List::Links | List::Addresses | List::Filters | List::Sockets => {
            assert_eq!(entries, messages, "every message must be an entry");
        }
    }
    let all = frame.messages.concat();
    let shown = |bytes: &[u8]| bytes.is_empty() || all.windows(bytes.len()).any(|w| w == bytes);
    for entry in &found.entries {
        let there = match entry {
            Entry::Link { index, mac, name: _ } => {
                let mac = mac.is_none_or(|mac| shown(&mac.bytes()));
                mac && shown(&index.to_ne_bytes())
            }
            Entry::Address { link, address, .. } => {
                shown(&address.octets()) && shown(&link.to_ne_bytes())
            }
            Entry::Route { to: (to, _), via, .. } => {
                let via = via.is_none_or(|via| shown(&via.octets()));
                via && (to.is_unspecified() || shown(&to.octets()))
            }
            Entry::Rule { source, .. } => source.is_none_or(|source| shown(&source.octets())),
            Entry::Filter { link, value } => {
                shown(&link.to_ne_bytes()) && shown(&value.to_ne_bytes())
            }
            Entry::Socket { local: IpAddr::V4(local), .. } => shown(&local.octets()),
            Entry::Socket { local: IpAddr::V6(local), .. } => shown(&local.octets()),
        };
        assert!(there, "no message contains the values of {entry:?}");
    }
}
