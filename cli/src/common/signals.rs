//! SIGINT and SIGTERM for commands that have something to finish.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::progress::to_stderr;
use crate::failure::Failure;

/// Becomes true at the first SIGINT or SIGTERM, and reports what the command does then. Later ones
/// change nothing: what is left to do is bounded.
pub fn first(then: &'static str) -> Result<watch::Receiver<bool>, Failure> {
    let listen = |kind| {
        signal(kind).map_err(|why| Failure::process("listen for signals of", "this process", why))
    };
    let (mut terminate, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            to_stderr(&format!("signal received: {then}"));
            sender.send_replace(true);
        }
    });
    Ok(receiver)
}
