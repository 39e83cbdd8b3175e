//! A member's service: it answers each connection with its node and pod.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// The server closes a connection that the client does not close within this time.
const TIMEOUT: Duration = Duration::from_millis(200);

/// Serves until the process is killed; prints a line once clients can connect.
pub(crate) fn run(address: Ipv4Addr, pod: &str) -> io::Result<()> {
    let node = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let listener = TcpListener::bind((address, crate::PORT))?;
    let line = format!("{} {pod}\n", node.trim());
    let mut out = io::stdout();
    out.write_all(b"listening\n")?;
    out.flush()?;
    for stream in listener.incoming() {
        // A client may disconnect at any time.
        stream.and_then(|stream| answer(stream, &line)).ok();
    }
    Ok(())
}

/// The client closes first, so that no connection stays in TIME_WAIT on this side.
fn answer(mut stream: TcpStream, line: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(line.as_bytes())?;
    stream.read(&mut [0]).map(drop)
}
