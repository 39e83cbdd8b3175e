//! SIGTERM and SIGINT. The process listens from its start, because process 1 of a container loses
//! signals without a listener.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the first signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSignal {
    /// Terminate: start nothing new.
    Ends,
    /// The process waits for it. A second SIGTERM is ignored, because a kubelet may send it twice;
    /// a later SIGINT comes from a user and terminates the process.
    IsAwaited,
}

/// The signals received so far.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The awaited signal was received.
    pub awaited: CancellationToken,
    /// The process must terminate: it starts no new side effect.
    pub end: CancellationToken,
}

/// The listener. Signals before [`Listener::forward`] are buffered.
#[derive(Debug)]
pub(crate) struct Listener {
    terminate: Signal,
    interrupt: Signal,
}

impl Listener {
    /// Starts to listen. Must be called within a runtime.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Forwards signals; never returns.
    pub(crate) async fn forward(mut self, first: FirstSignal, signals: Signals) {
        loop {
            let interrupted = tokio::select! {
                _ = self.terminate.recv() => false,
                _ = self.interrupt.recv() => true,
            };
            let name = if interrupted { "SIGINT" } else { "SIGTERM" };
            tracing::info!(signal = name, "signal received");
            let again = signals.awaited.is_cancelled();
            match first {
                FirstSignal::Ends => signals.end.cancel(),
                FirstSignal::IsAwaited if again && interrupted => signals.end.cancel(),
                FirstSignal::IsAwaited => signals.awaited.cancel(),
            }
        }
    }
}
