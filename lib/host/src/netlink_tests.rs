use netlink_packet_core::NLM_F_MULTIPART;
use nix::libc::{ENOENT, EPERM};
use proptest::prelude::*;

use super::*;

const SEQUENCE: u32 = 7;
const DATA: u16 = 20;

fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = HEADER + payload.len();
    let mut bytes = vec![0; length];
    let mut packet = NetlinkBuffer::new(&mut bytes);
    packet.set_length(u32::try_from(length).unwrap());
    packet.set_message_type(kind);
    packet.set_flags(flags | NLM_F_MULTIPART);
    packet.set_sequence_number(SEQUENCE);
    packet.payload_mut().copy_from_slice(payload);
    bytes.resize(length.next_multiple_of(ALIGN), 0);
    bytes
}

fn code(errno: i32) -> [u8; 4] {
    (-errno).to_ne_bytes()
}

/// Whether the datagram ends the dump, whether the dump was interrupted, and the messages.
fn read(parts: &[Vec<u8>]) -> Result<(bool, bool, Vec<Vec<u8>>), NetlinkError> {
    let mut found = Vec::new();
    let progress = digest(&parts.concat(), SEQUENCE, &mut found)?;
    Ok((progress.done, progress.interrupted, found))
}

#[test]
fn every_message_of_a_datagram_is_read_up_to_the_end() {
    let parts =
        [message(DATA, 0, b"first"), message(DATA, 0, b"second"), message(NLMSG_DONE, 0, &code(0))];
    let all = vec![b"first".to_vec(), b"second".to_vec()];
    assert_eq!(read(&parts).unwrap(), (true, false, all.clone()));
    assert_eq!(read(&parts[..2]).unwrap(), (false, false, all), "the dump has not ended");
}

#[test]
fn an_error_in_the_middle_of_a_dump_fails_it() {
    let refused = read(&[message(DATA, 0, b"first"), message(NLMSG_ERROR, 0, &code(EPERM))]);
    assert_eq!(refused.unwrap_err().errno(), Some(EPERM));
}

#[test]
fn an_error_at_the_end_of_a_dump_fails_it() {
    let refused = read(&[message(DATA, 0, b"first"), message(NLMSG_DONE, 0, &code(ENOENT))]);
    assert_eq!(refused.unwrap_err().errno(), Some(ENOENT));
}

#[test]
fn a_dump_with_lost_messages_or_no_error_number_is_an_error() {
    assert!(read(&[message(NLMSG_OVERRUN, 0, b"")]).is_err());
    assert!(read(&[message(NLMSG_DONE, 0, b"")]).is_err());
    assert!(read(&[message(NLMSG_ERROR, 0, b"\0\0")]).is_err());
}

#[test]
fn an_interruption_in_any_message_is_reported() {
    for place in 0..3 {
        let flag = |at| if at == place { NLM_F_DUMP_INTR } else { 0 };
        let parts = [
            message(DATA, flag(0), b"first"),
            message(DATA, flag(1), b"second"),
            message(NLMSG_DONE, flag(2), &code(0)),
        ];
        let (done, interrupted, _messages) = read(&parts).unwrap();
        assert!(done && interrupted, "{place}");
    }
}

#[test]
fn an_answer_to_another_request_is_an_error() {
    let mut late = message(DATA, 0, b"first");
    NetlinkBuffer::new(&mut late).set_sequence_number(SEQUENCE - 1);
    assert!(read(&[late]).is_err());
}

proptest! {
    #[test]
    fn a_datagram_that_is_cut_in_a_message_is_an_error(at in 1_usize..40) {
        let whole = message(DATA, 0, &[1; 24]);
        prop_assume!(at < whole.len());
        prop_assert!(read(&[whole[..at].to_vec()]).is_err());
    }

    #[test]
    fn arbitrary_bytes_do_not_panic_or_hang(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(digest(&bytes, SEQUENCE, &mut Vec::new()));
    }
}
