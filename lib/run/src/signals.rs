//! SIGTERM and SIGINT, listened to from the first moment: as process 1 of a container, a signal
//! without a listener is lost.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What the first signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstSignal {
    /// End: start nothing new.
    Ends,
    /// It is what the process waits for. More of SIGTERM changes nothing, because a kubelet may
    /// send it twice; a SIGINT after it is a person who wants the process to end.
    IsAwaited,
}

/// What the process has been told.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The awaited signal came.
    pub awaited: CancellationToken,
    /// The process is to end: no new side effect is begun.
    pub end: CancellationToken,
}

/// The listener. Signals that come before [`Listener::forward`] are kept.
#[derive(Debug)]
pub(crate) struct Listener {
    terminate: Signal,
    interrupt: Signal,
}

impl Listener {
    /// Begins to listen. Needs a runtime around it.
    pub(crate) fn start() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Passes signals on for ever.
    pub(crate) async fn forward(mut self, first: FirstSignal, signals: Signals) {
        loop {
            let interrupted = tokio::select! {
                _ = self.terminate.recv() => false,
                _ = self.interrupt.recv() => true,
            };
            let name = if interrupted { "SIGINT" } else { "SIGTERM" };
            tracing::info!(signal = name, "Signal received");
            let again = signals.awaited.is_cancelled();
            match first {
                FirstSignal::Ends => signals.end.cancel(),
                FirstSignal::IsAwaited if again && interrupted => signals.end.cancel(),
                FirstSignal::IsAwaited => signals.awaited.cancel(),
            }
        }
    }
}
