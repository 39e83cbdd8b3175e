//! What SIGTERM means to a run: the init container starts no further step, and the stop container
//! waits for it.

use std::future::Future;

use tokio_util::sync::CancellationToken;

/// The effect of the stop signal on a run.
#[derive(Debug, Clone)]
pub enum Signal {
    /// The run ends at once and starts no other action (init container).
    Interrupt(CancellationToken),
    /// It is the event that the machine waits for (stop container).
    Stop(CancellationToken),
}

impl Signal {
    /// Whether the run has to end at once.
    pub(crate) fn has_interrupted(&self) -> bool {
        match self {
            Self::Interrupt(token) => token.is_cancelled(),
            Self::Stop(_) => false,
        }
    }

    /// The result of the work; none if the run has to end first.
    pub(crate) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Self::Interrupt(token) = self else { return Some(work.await) };
        tokio::select! {
            biased;
            () = token.cancelled() => None,
            done = work => Some(done),
        }
    }
}
