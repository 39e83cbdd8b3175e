//! Outages of external systems: one log line at the start and one at the end of each.

use tokio::time::Instant;

/// Whether a system answers.
#[derive(Debug)]
pub(crate) struct Outage {
    of: String,
    /// Start of the outage, and the number of failed attempts.
    since: Option<(Instant, u32)>,
}

impl Outage {
    pub(crate) fn new(of: impl Into<String>) -> Self {
        Self { of: of.into(), since: None }
    }

    /// An attempt failed. Logs a warning for the first one of an outage.
    pub(crate) fn lasts(&mut self, why: &impl std::fmt::Display) {
        if let Some((_, failures)) = &mut self.since {
            *failures = failures.saturating_add(1);
            tracing::debug!(of = self.of, failures, error = %why, "read failed again");
            return;
        }
        self.since = Some((Instant::now(), 1));
        tracing::warn!(of = self.of, error = %why, "read failed; keeping the last observation");
    }

    /// An attempt succeeded.
    pub(crate) fn ended(&mut self) {
        if let Some((since, failures)) = self.since.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(of = self.of, failures, seconds, "reads recovered");
        }
    }
}
