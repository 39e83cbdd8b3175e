//! What the agent tells of itself: metrics, probes, and what it knows.

mod ages;
mod calls;
mod labels;
mod process;
mod stewardship;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firecamp_node::preflight::facts::Reading;
use firecamp_registry::api::{NodeAttachments, NodeReport};
use firecamp_run::recent::Recent;
use firecamp_run::redact::Redactor;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};
use tokio::time::Instant;

use crate::outage::Outage;

use self::ages::Ages;
pub(crate) use self::calls::Ec2Calls;
use self::labels::Clocks;
pub(crate) use self::labels::{
    Call, Calls, Errands, KINDS, Kind, Problems, Reads, Reasons, Steps, System, Volumes, clock,
    result,
};
use self::process::Process;
pub(crate) use self::stewardship::Stewardship;

/// A loop that has not come round for so long is stuck: every step of it is bounded by less.
const STUCK: Duration = Duration::from_secs(30);
/// What every metric of ours begins with.
pub(crate) const PREFIX: &str = "firecamp_agent";

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Metrics and probes of one agent.
#[derive(Debug)]
pub(crate) struct Status {
    registry: Registry,
    begun: Mutex<Instant>,
    ready: AtomicBool,
    ages: Ages,
    /// Of the systems that were asked.
    outages: Mutex<BTreeMap<System, Outage>>,
    /// What would be published now.
    wanted: Mutex<Option<NodeAttachments>>,
    /// The last lines of the log.
    log: Recent,
    /// Addresses that records have attached to this node.
    pub(crate) attached: Gauge,
    /// Of those, how many its kernel lacks a part of.
    pub(crate) lacking: Gauge,
    /// Of those, how many EC2 shows elsewhere.
    pub(crate) astray: Gauge,
    /// Addresses with a problem that has lasted.
    pub(crate) failing: Gauge,
    /// Addresses without a record, until they are collected.
    pub(crate) unclaimed: Gauge,
    /// Addresses that it has adopted.
    pub(crate) adopted: Counter,
    /// Whether what the registry told is as new as it can be.
    pub(crate) current: Gauge,
    /// What this agent does for the whole cluster, while it does.
    pub(crate) steward: Stewardship,
    /// Conditions of the preflight that keep addresses from being attached or kept here.
    pub(crate) blocks: Gauge,
    /// Room for addresses.
    pub(crate) free_slots: Gauge,
    /// The node's capacity of the extended resource.
    pub(crate) capacity: Gauge,
    /// Errands that were begun.
    pub(crate) errands: Family<Errands, Counter>,
    /// Errands that failed.
    pub(crate) failed: Family<Errands, Counter>,
    /// How long errands took.
    pub(crate) took: Histograms<Errands>,
    /// Reads of outside systems.
    pub(crate) reads: Family<Reads, Counter>,
    /// Reads of outside systems that failed.
    pub(crate) unread: Family<Reads, Counter>,
    /// How long reads of outside systems took.
    pub(crate) read_took: Histograms<Reads>,
    /// When an outside system was last read.
    read_at: Family<Reads, Gauge>,
    /// Requests to EC2, by what came of them.
    pub(crate) calls: Ec2Calls,
    /// By how much this node's clock was ahead of others.
    ahead: Family<Clocks, Gauge>,
    /// Attempts to listen for others that have failed.
    pub(crate) unheard: Counter,
    /// News of the kernel that were dropped.
    pub(crate) overruns: Counter,
    /// From the kernel's news of a loss to its being mended.
    pub(crate) restored: Histogram,
    /// Turns of the loop.
    turns: Counter,
    /// How long turns took.
    turn_took: Histogram,
    /// When the last turn ended.
    turned_at: Gauge,
    /// Requests to publish something.
    pub(crate) published: Family<Steps, Counter>,
    /// Of those, how many failed.
    pub(crate) unpublished: Family<Steps, Counter>,
    /// Events.
    pub(crate) events: Family<Reasons, Counter>,
    /// Volumes of this node.
    pub(crate) volumes: Family<Volumes, Gauge>,
    /// Problems of volumes.
    pub(crate) volume_problems: Family<Problems, Gauge>,
    /// How long the causes of problems have lasted.
    pub(crate) volume_ages: Family<Problems, Gauge>,
}

fn quick() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 14))
}

/// All there from the beginning: an agent does not grow by those that come late.
fn of_all_systems() -> Histograms<Reads> {
    let took: Histograms<Reads> = Family::new_with_constructor(quick);
    for system in System::ALL {
        drop(took.get_or_create(&Reads { system }));
    }
    took
}

impl Default for Status {
    fn default() -> Self {
        let mut it = Self {
            registry: Registry::default(),
            begun: Mutex::new(Instant::now()),
            ready: AtomicBool::new(false),
            ages: Ages::default(),
            outages: Mutex::default(),
            wanted: Mutex::new(None),
            log: Recent::default(),
            attached: Gauge::default(),
            lacking: Gauge::default(),
            astray: Gauge::default(),
            failing: Gauge::default(),
            unclaimed: Gauge::default(),
            adopted: Counter::default(),
            current: Gauge::default(),
            steward: Stewardship::default(),
            blocks: Gauge::default(),
            free_slots: Gauge::default(),
            capacity: Gauge::default(),
            errands: Family::default(),
            failed: Family::default(),
            took: Family::new_with_constructor(quick),
            reads: Family::default(),
            unread: Family::default(),
            read_took: of_all_systems(),
            read_at: Family::default(),
            calls: Ec2Calls::default(),
            ahead: Family::default(),
            unheard: Counter::default(),
            overruns: Counter::default(),
            restored: quick(),
            turns: Counter::default(),
            turn_took: quick(),
            turned_at: Gauge::default(),
            published: Family::default(),
            unpublished: Family::default(),
            events: Family::default(),
            volumes: Family::default(),
            volume_problems: Family::default(),
            volume_ages: Family::default(),
        };
        it.register();
        it
    }
}

impl Status {
    /// One of a process whose last lines of the log are these.
    pub(crate) fn logging(log: Recent) -> Self {
        Self { log, ..Self::default() }
    }

    fn register(&mut self) {
        self.add("build", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        self.add("attached_addresses", self.attached.clone());
        self.add("lacking_addresses", self.lacking.clone());
        self.add("astray_addresses", self.astray.clone());
        self.add("failing_addresses", self.failing.clone());
        self.add("unclaimed_addresses", self.unclaimed.clone());
        self.add("adopted_addresses", self.adopted.clone());
        self.add("registry_current", self.current.clone());
        self.add("holds_lease", self.steward.acts.clone());
        self.add("pool_addresses", self.steward.total.clone());
        self.add("pool_free_addresses", self.steward.free.clone());
        self.add("preflight_blocks", self.blocks.clone());
        self.add("free_slots", self.free_slots.clone());
        self.add("capacity_slots", self.capacity.clone());
        self.add("errands", self.errands.clone());
        self.add("failed_errands", self.failed.clone());
        self.add("errand_seconds", self.took.clone());
        self.add("reads", self.reads.clone());
        self.add("failed_reads", self.unread.clone());
        self.add("read_seconds", self.read_took.clone());
        self.add("read_timestamp_seconds", self.read_at.clone());
        self.add("ec2_calls", self.calls.ended.clone());
        self.add("ec2_call_seconds", self.calls.took.clone());
        self.add("clock_ahead_seconds", self.ahead.clone());
        self.add("failed_listens", self.unheard.clone());
        self.add("kernel_overruns", self.overruns.clone());
        self.add("restore_seconds", self.restored.clone());
        self.add("turns", self.turns.clone());
        self.add("turn_seconds", self.turn_took.clone());
        self.add("turn_timestamp_seconds", self.turned_at.clone());
        self.add("publish_steps", self.published.clone());
        self.add("failed_publish_steps", self.unpublished.clone());
        self.add("events", self.events.clone());
        self.add("volumes", self.volumes.clone());
        self.add("volume_problems", self.volume_problems.clone());
        self.add("volume_problem_age_seconds", self.volume_ages.clone());
        self.registry.register_collector(Box::new(Process));
    }

    /// With the help that the table has.
    fn add(&mut self, name: &'static str, metric: impl Metric) {
        let help = table::help(name);
        self.registry.sub_registry_with_prefix(PREFIX).register(name, help, metric);
    }

    /// A read of an outside system begins: how long it takes is known at its end.
    pub(crate) fn asks(&self, system: System) {
        self.ages.asks(system);
    }

    /// A read of an outside system has ended.
    pub(crate) fn read<T, E: std::fmt::Display>(&self, system: System, read: &Result<T, E>) {
        self.reads.get_or_create(&Reads { system }).inc();
        if let Some(took) = self.ages.answered(system) {
            self.read_took.get_or_create(&Reads { system }).observe(took.as_secs_f64());
        }
        let mut outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        let outage = outages.entry(system).or_insert_with(|| Outage::new(system.said()));
        match read {
            Ok(_) => {
                outage.ended();
                self.ages.read(system);
                self.read_at.get_or_create(&Reads { system }).set(now());
            }
            Err(why) => {
                self.unread.get_or_create(&Reads { system }).inc();
                self.ages.failed(system, why);
                outage.lasts(why);
            }
        }
    }

    /// What other clocks said.
    pub(crate) fn clocks(&self, readings: &[Reading]) {
        for Reading { clock, ahead } in readings {
            self.ahead.get_or_create(&Clocks { clock: self::clock(*clock) }).set(*ahead);
        }
    }

    /// The loop has come round, in a turn that took so long.
    pub(crate) fn came_round(&self, took: Duration) {
        self.turn_took.observe(took.as_secs_f64());
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.turns.inc();
        self.turned_at.set(now());
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

    /// This would be published now.
    pub(crate) fn would_publish(&self, object: NodeAttachments) {
        self.failing.set(i64::from(object.status.addresses_failing));
        // What is not known for a while stands, as the capacity does.
        if let Some(slots) = object.status.slots {
            self.free_slots.set(i64::from(slots.free));
        }
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(object);
    }

    /// What is known of the node, once anything is.
    pub(crate) fn report(&self) -> Option<NodeReport> {
        let object = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(NodeReport { object, observed: self.ages.shown() })
    }

    /// The last lines of the log, without secrets.
    pub(crate) fn log(&self) -> String {
        Redactor::of_this_process().lines(&self.log.text())
    }

    /// The metrics in the text form of OpenMetrics.
    pub(crate) fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn f038_a_loop_that_does_not_come_round_is_not_live() {
        let status = Status::default();
        assert!(status.is_live() && !status.is_ready());
        tokio::time::advance(STUCK).await;
        assert!(!status.is_live());
        status.came_round(Duration::ZERO);
        assert!(status.is_live());
    }
}
