//! The health of the agent: its probes, and metrics of the loop that they depend on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use super::{add, now, quick};

/// A loop without an iteration for this long is stuck: every step of it has a lower bound.
const STUCK: Duration = Duration::from_secs(30);

/// Whether the agent is live and ready, and the iterations of its loop.
#[derive(Debug)]
pub(crate) struct Health {
    begun: Mutex<Instant>,
    ready: AtomicBool,
    iterations: Counter,
    /// Durations of iterations.
    durations: Histogram,
    /// End of the last iteration.
    last_at: Gauge,
}

impl Health {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            begun: Mutex::new(Instant::now()),
            ready: AtomicBool::new(false),
            iterations: add(registry, "loop_iterations", Counter::default()),
            durations: add(registry, "loop_duration_seconds", quick()),
            last_at: add(registry, "last_loop_timestamp_seconds", Gauge::default()),
        }
    }

    /// An iteration of the loop has completed after this time.
    pub(crate) fn iteration_completed(&self, took: Duration) {
        self.durations.observe(took.as_secs_f64());
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.iterations.inc();
        self.last_at.set(now());
    }

    /// Registry and kernel were read and one plan was made.
    pub(crate) fn is_ready_now(&self) {
        if !self.ready.swap(true, Ordering::Relaxed) {
            tracing::info!("agent ready");
        }
    }

    /// Whether the loop completes iterations.
    pub(crate) fn is_live(&self) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < STUCK
    }

    /// Whether the agent has observed and reconciled once.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn f038_agent_whose_loop_is_stuck_is_not_live() {
        let health = Health::new(&mut Registry::default());
        assert!(health.is_live() && !health.is_ready());
        tokio::time::advance(STUCK).await;
        assert!(!health.is_live());
        health.iteration_completed(Duration::ZERO);
        assert!(health.is_live());
    }
}
