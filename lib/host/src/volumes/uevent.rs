//! Kernel uevents about devices.

use std::io;

use netlink_sys::protocols::NETLINK_KOBJECT_UEVENT;
use netlink_sys::{Socket, SocketAddr};
use nix::errno::Errno;

/// The kernel's multicast group; the other one is udev's.
const KERNEL: u32 = 1;
/// Maximum length of an event; the kernel's buffer has half of it.
const LONGEST: usize = 4096;

/// Subscribes to kernel events.
pub(super) fn listen() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_KOBJECT_UEVENT)?;
    socket.set_non_blocking(true)?;
    socket.bind(&SocketAddr::new(0, KERNEL))?;
    Ok(socket)
}

/// Reads all pending events. True if one is about a block device, or if some were lost.
pub(super) fn drain(socket: &Socket) -> io::Result<bool> {
    let mut block = false;
    let mut buffer = Vec::with_capacity(LONGEST);
    loop {
        buffer.clear();
        match socket.recv_from(&mut buffer, 0) {
            Ok((_, sender)) => block |= sender.port_number() == 0 && about_block(&buffer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && block => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => block = true,
            Err(error) => return Err(error),
        }
    }
}

/// `ACTION@DEVPATH`, then `NAME=VALUE`, each ended by a zero.
fn about_block(event: &[u8]) -> bool {
    event.split(|byte| *byte == 0).skip(1).any(|field| field == b"SUBSYSTEM=block")
}

#[cfg(test)]
mod tests {
    use super::about_block;

    #[test]
    fn uevent_is_about_a_block_device_if_its_subsystem_is_block() {
        let event = |subsystem: &str| {
            format!(
                "add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM={subsystem}\0SEQNUM=1\0"
            )
        };
        assert!(about_block(event("block").as_bytes()));
        assert!(!about_block(event("net").as_bytes()));
        assert!(!about_block(event("blockish").as_bytes()));
        assert!(!about_block(b"SUBSYSTEM=block"), "the first field is the header");
        assert!(!about_block(b""));
    }
}
