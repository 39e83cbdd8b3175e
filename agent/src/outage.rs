//! Outages of outside systems, told once each.

use tokio::time::Instant;

/// Whether something answers.
#[derive(Debug)]
pub(crate) struct Outage {
    of: String,
    /// Since when it does not, and how many attempts have failed.
    since: Option<(Instant, u32)>,
}

impl Outage {
    pub(crate) fn new(of: impl Into<String>) -> Self {
        Self { of: of.into(), since: None }
    }

    /// An attempt has failed. The first one of an outage is told.
    pub(crate) fn lasts(&mut self, why: &impl std::fmt::Display) {
        if let Some((_, failures)) = &mut self.since {
            *failures = failures.saturating_add(1);
            tracing::debug!(of = self.of, failures, error = %why, "Still not read");
            return;
        }
        self.since = Some((Instant::now(), 1));
        tracing::warn!(of = self.of, error = %why, "Not read: what was seen before stands");
    }

    /// An attempt has succeeded.
    pub(crate) fn ended(&mut self) {
        if let Some((since, failures)) = self.since.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(of = self.of, failures, seconds, "Read again");
        }
    }
}
