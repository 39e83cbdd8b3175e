//! The member: a TCP server on its static IP. It answers each connection with one line that says
//! who it is, and ends at SIGTERM.

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

/// A client that does not hang up after its answer is hung up on.
const PATIENCE: Duration = Duration::from_secs(1);

/// Serves until SIGTERM.
pub(crate) async fn run(arguments: &ServerArguments) -> Result<(), Failure> {
    let ServerArguments { address, port, pod } = arguments;
    let at = SocketAddr::from((*address, *port));
    let mut term = signal(SignalKind::terminate())
        .map_err(|e| Failure::process("watch the signals of", "the server", e))?;
    let listener =
        TcpListener::bind(at).await.map_err(|e| Failure::process("bind", at.to_string(), e))?;
    let node = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_err(|e| Failure::process("ask for the host name of", "the node", e))?;
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
        // A client that has gone before it was accepted is no reason to end.
        let Ok((stream, _from)) = accepted else { continue };
        sequence = sequence.saturating_add(1);
        connections.spawn(answer(stream, format!("{node} {pod} {sequence}\n")));
    }
    // Dropping the set closes what is left.
    Ok(())
}

/// The client closes first, so that nothing of a connection stays on this side.
async fn answer(mut stream: TcpStream, line: String) {
    let talk = async {
        stream.write_all(line.as_bytes()).await?;
        stream.read(&mut [0_u8; 1]).await
    };
    // A client that went away has its reasons.
    tokio::time::timeout(PATIENCE, talk).await.ok();
}
