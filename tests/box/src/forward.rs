//! A port of the loopback device, behind which a Unix socket answers: what is outside of a node's
//! namespaces is reached through the file system.

use std::io::{self, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

/// Forwards until it is killed; prints a line once clients can connect.
pub(crate) fn run(port: &str, socket: &Path) -> io::Result<()> {
    let port: u16 = port.parse().map_err(io::Error::other)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut out = io::stdout();
    out.write_all(b"forwarding\n")?;
    out.flush()?;
    thread::scope(|scope| {
        for stream in listener.incoming() {
            // Who cannot be connected is hung up on.
            scope.spawn(|| stream.and_then(|stream| both_ways(&stream, socket)).ok());
        }
    });
    Ok(())
}

fn both_ways(near: &TcpStream, socket: &Path) -> io::Result<()> {
    let far = UnixStream::connect(socket)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            io::copy(&mut &*near, &mut &far).and_then(|_| far.shutdown(Shutdown::Write)).ok()
        });
        io::copy(&mut &far, &mut &*near).and_then(|_| near.shutdown(Shutdown::Write))
    })
}
