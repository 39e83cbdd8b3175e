//! What the agent tells of itself: metrics and probes.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// A loop that has not come round for so long is stuck: every step of it is bounded by less.
const STUCK: Duration = Duration::from_secs(30);

/// What an errand is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum Kind {
    GiveWay,
    Release,
    Reassert,
    Restore,
    Collect,
}

/// An outside system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum System {
    Registry,
    Metadata,
    Ec2,
    Kernel,
}

/// Labels of an errand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Errands {
    pub(crate) kind: Kind,
}

/// Labels of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reads {
    pub(crate) system: System,
}

/// Metrics and probes of one agent.
#[derive(Debug)]
pub(crate) struct Status {
    registry: Registry,
    begun: Mutex<Instant>,
    ready: AtomicBool,
    /// Addresses that records have attached to this node.
    pub(crate) attached: Gauge,
    /// Of those, how many its kernel lacks a part of.
    pub(crate) lacking: Gauge,
    /// Of those, how many EC2 shows elsewhere.
    pub(crate) astray: Gauge,
    /// Addresses without a record, until they are collected.
    pub(crate) unclaimed: Gauge,
    /// Errands that were begun.
    pub(crate) errands: Family<Errands, Counter>,
    /// Errands that failed.
    pub(crate) failed: Family<Errands, Counter>,
    /// Reads of outside systems.
    pub(crate) reads: Family<Reads, Counter>,
    /// Reads of outside systems that failed.
    pub(crate) unread: Family<Reads, Counter>,
    /// News of the kernel that were dropped.
    pub(crate) overruns: Counter,
    /// From the kernel's news of a loss to its being mended.
    pub(crate) restored: Histogram,
}

impl Default for Status {
    fn default() -> Self {
        let mut it = Self {
            registry: Registry::with_prefix("firecamp_agent"),
            begun: Mutex::new(Instant::now()),
            ready: AtomicBool::new(false),
            attached: Gauge::default(),
            lacking: Gauge::default(),
            astray: Gauge::default(),
            unclaimed: Gauge::default(),
            errands: Family::default(),
            failed: Family::default(),
            reads: Family::default(),
            unread: Family::default(),
            overruns: Counter::default(),
            restored: Histogram::new(exponential_buckets(0.001, 2.0, 14)),
        };
        it.register();
        it
    }
}

impl Status {
    fn register(&mut self) {
        let it = &mut self.registry;
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            it.register(name, help, gauge.clone());
        };
        gauge("attached_addresses", "Addresses that are attached to this node", &self.attached);
        gauge("lacking_addresses", "Of those, the kernel lacks a part of", &self.lacking);
        gauge("astray_addresses", "Of those, EC2 shows elsewhere", &self.astray);
        gauge("unclaimed_addresses", "Addresses that no record claims", &self.unclaimed);
        it.register("errands", "Errands that were begun", self.errands.clone());
        it.register("failed_errands", "Errands that failed", self.failed.clone());
        it.register("reads", "Reads of outside systems", self.reads.clone());
        it.register("failed_reads", "Reads that failed", self.unread.clone());
        it.register(
            "kernel_overruns",
            "News of the kernel that were dropped",
            self.overruns.clone(),
        );
        it.register(
            "restore_seconds",
            "From the news of a loss to its being mended",
            self.restored.clone(),
        );
    }

    /// A read of an outside system has ended.
    pub(crate) fn read<T, E: std::fmt::Display>(&self, system: System, read: &Result<T, E>) {
        self.reads.get_or_create(&Reads { system }).inc();
        if let Err(why) = read {
            self.unread.get_or_create(&Reads { system }).inc();
            tracing::warn!(?system, error = %why, "A read has failed: nothing follows from it");
        }
    }

    /// The loop has come round.
    pub(crate) fn came_round(&self) {
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Registry and kernel have been seen, and what was to do has been planned once.
    pub(crate) fn is_ready_now(&self) {
        if !self.ready.swap(true, Ordering::Relaxed) {
            tracing::info!("The agent is ready");
        }
    }

    /// The loop comes round.
    pub(crate) fn is_live(&self) -> bool {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < STUCK
    }

    /// It has observed and reconciled once.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// The metrics in the text form of OpenMetrics.
    pub(crate) fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_openmetrics_with_their_help_and_end() {
        let status = Status::default();
        status.attached.set(3);
        status.errands.get_or_create(&Errands { kind: Kind::Restore }).inc();
        let text = status.metrics().unwrap();
        assert!(text.contains("# TYPE firecamp_agent_attached_addresses gauge"), "{text}");
        assert!(text.contains("firecamp_agent_attached_addresses 3"), "{text}");
        assert!(text.contains("firecamp_agent_errands_total{kind=\"Restore\"} 1"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn f038_a_loop_that_does_not_come_round_is_not_live() {
        let status = Status::default();
        assert!(status.is_live() && !status.is_ready());
        tokio::time::advance(STUCK).await;
        assert!(!status.is_live());
        status.came_round();
        assert!(status.is_live());
    }
}
