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
    /// The result of the work; none if the run has to end first. After the signal the work is not
    /// started.
    pub(crate) async fn unless_interrupted<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let Self::Interrupt(token) = self else { return Some(work.await) };
        tokio::select! {
            biased;
            () = token.cancelled() => None,
            done = work => Some(done),
        }
    }
}
