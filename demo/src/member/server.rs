//! The member: a TCP server on its static IP. It responds to each connection with one line that
//! identifies it, and exits on SIGTERM.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::args::ServerArguments;
use crate::failure::Failure;

/// What it prints when clients can connect.
pub const READY: &str = "listening";

/// After this time, the server closes a connection that the client does not close.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves until SIGTERM.
pub(crate) async fn run(arguments: &ServerArguments) -> Result<(), Failure> {
    let ServerArguments { address, port, pod } = arguments;
    let at = SocketAddr::from((*address, *port));
    let mut term = signal(SignalKind::terminate())
        .map_err(|e| Failure::process("listen for signals of", "the server", e))?;
    let listener =
        TcpListener::bind(at).await.map_err(|e| Failure::process("bind", at.to_string(), e))?;
    let node = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_err(|e| Failure::process("read the host name of", "the node", e))?;
    let node = node.trim();
    let mut out = io::stdout();
    writeln!(out, "{READY}").and_then(|()| out.flush()).map_err(Failure::Output)?;
    let mut connections = JoinSet::new();
    let mut sequence = 0_u64;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = term.recv() => break,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        // A client may disconnect before its connection is accepted.
        let Ok((stream, _from)) = accepted else { continue };
        sequence = sequence.saturating_add(1);
        connections.spawn(answer(stream, format!("{node} {pod} {sequence}\n")));
    }
    // Dropping the set closes all connections.
    Ok(())
}

/// The client closes first, so that no socket remains in TIME_WAIT on this side.
async fn answer(mut stream: TcpStream, line: String) {
    let talk = async {
        stream.write_all(line.as_bytes()).await?;
        stream.read(&mut [0_u8; 1]).await
    };
    // A client may disconnect at any time.
    tokio::time::timeout(PATIENCE, talk).await.ok();
}
