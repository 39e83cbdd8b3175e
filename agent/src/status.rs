//! The agent's own status: metrics, probes and the node report.

mod ec2_calls;
mod labels;
mod last_reads;
mod leadership;
mod process;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use firecamp_node::preflight::facts::Reading;
use firecamp_registry::api::{NodeAttachments, NodeReport};
use firecamp_run::recent_log::Recent;
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

pub(crate) use self::ec2_calls::Ec2Calls;
use self::labels::Clocks;
pub(crate) use self::labels::{
    Call, Calls, Executions, Problems, Reads, Reasons, Requests, System, Volumes, clock, result,
};
use self::last_reads::LastReads;
pub(crate) use self::leadership::LeadershipMetrics;
use self::process::Process;

/// A loop without an iteration for this long is stuck: every step of it has a lower bound.
const STUCK: Duration = Duration::from_secs(30);
/// The prefix of the agent's metrics.
pub(crate) const PREFIX: &str = "firecamp_agent";

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Metrics and probes of one agent.
#[derive(Debug)]
pub(crate) struct Status {
    registry: Registry,
    begun: Mutex<Instant>,
    ready: AtomicBool,
    last_reads: LastReads,
    /// Outages of the systems that were read.
    outages: Mutex<BTreeMap<System, Outage>>,
    /// The status that would be published now.
    wanted: Mutex<Option<NodeAttachments>>,
    /// The last log lines.
    log: Recent,
    /// Addresses attached to this node by record.
    pub(crate) attached: Gauge,
    /// Attached addresses that are missing or incomplete in the kernel.
    pub(crate) missing: Gauge,
    /// Attached addresses that EC2 shows elsewhere.
    pub(crate) misplaced: Gauge,
    /// Addresses with a lasting problem.
    pub(crate) failing: Gauge,
    /// Addresses without a record, until they are collected.
    pub(crate) orphaned: Gauge,
    /// Adopted addresses.
    pub(crate) adopted: Counter,
    /// Whether the view of the registry is up to date.
    pub(crate) registry_synced: Gauge,
    /// The metrics of the leader.
    pub(crate) leader: LeadershipMetrics,
    /// Failing blocking preflight conditions.
    pub(crate) blocks: Gauge,
    /// Free slots for addresses.
    pub(crate) free_slots: Gauge,
    /// The node's capacity of the extended resource.
    pub(crate) capacity: Gauge,
    /// Started operations.
    pub(crate) executions: Family<Executions, Counter>,
    /// Failed operations.
    pub(crate) failed: Family<Executions, Counter>,
    /// Durations of operations.
    pub(crate) operation_durations: Histograms<Executions>,
    /// Reads of external systems.
    pub(crate) reads: Family<Reads, Counter>,
    /// Failed reads of external systems.
    pub(crate) read_failures: Family<Reads, Counter>,
    /// Durations of reads.
    pub(crate) read_durations: Histograms<Reads>,
    /// Time of the last successful read.
    read_at: Family<Reads, Gauge>,
    /// Requests to EC2, by result.
    pub(crate) calls: Ec2Calls,
    /// Offset of this node's clock from other clocks.
    clock_skew: Family<Clocks, Gauge>,
    /// Failed attempts to listen on `--metrics-listen`.
    pub(crate) listen_failures: Counter,
    /// Netlink overruns.
    pub(crate) overruns: Counter,
    /// Time from a kernel event to the restoration of the address.
    pub(crate) restored: Histogram,
    /// Iterations of the loop.
    iterations: Counter,
    /// Durations of iterations.
    loop_durations: Histogram,
    /// End of the last iteration.
    last_loop_at: Gauge,
    /// Requests to publish something.
    pub(crate) published: Family<Requests, Counter>,
    /// Failed requests to publish.
    pub(crate) publish_failures: Family<Requests, Counter>,
    /// Emitted Events.
    pub(crate) events: Family<Reasons, Counter>,
    /// Volumes of this node.
    pub(crate) volumes: Family<Volumes, Gauge>,
    /// Problems of volumes.
    pub(crate) volume_problems: Family<Problems, Gauge>,
    /// Age of the oldest problem of volumes.
    pub(crate) volume_ages: Family<Problems, Gauge>,
}

fn quick() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 14))
}

/// All histograms exist from the start, so that the agent's memory does not grow later.
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
            last_reads: LastReads::default(),
            outages: Mutex::default(),
            wanted: Mutex::new(None),
            log: Recent::default(),
            attached: Gauge::default(),
            missing: Gauge::default(),
            misplaced: Gauge::default(),
            failing: Gauge::default(),
            orphaned: Gauge::default(),
            adopted: Counter::default(),
            registry_synced: Gauge::default(),
            leader: LeadershipMetrics::default(),
            blocks: Gauge::default(),
            free_slots: Gauge::default(),
            capacity: Gauge::default(),
            executions: Family::default(),
            failed: Family::default(),
            operation_durations: Family::new_with_constructor(quick),
            reads: Family::default(),
            read_failures: Family::default(),
            read_durations: of_all_systems(),
            read_at: Family::default(),
            calls: Ec2Calls::default(),
            clock_skew: Family::default(),
            listen_failures: Counter::default(),
            overruns: Counter::default(),
            restored: quick(),
            iterations: Counter::default(),
            loop_durations: quick(),
            last_loop_at: Gauge::default(),
            published: Family::default(),
            publish_failures: Family::default(),
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
    /// A status with the log buffer of this process.
    pub(crate) fn logging(log: Recent) -> Self {
        Self { log, ..Self::default() }
    }

    fn register(&mut self) {
        self.add("build", Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        self.add("attached_addresses", self.attached.clone());
        self.add("missing_addresses", self.missing.clone());
        self.add("misplaced_addresses", self.misplaced.clone());
        self.add("failing_addresses", self.failing.clone());
        self.add("orphaned_addresses", self.orphaned.clone());
        self.add("adopted_addresses", self.adopted.clone());
        self.add("registry_synced", self.registry_synced.clone());
        self.add("leader", self.leader.acts.clone());
        self.add("pool_addresses", self.leader.total.clone());
        self.add("pool_free_addresses", self.leader.free.clone());
        self.add("preflight_blocking_conditions", self.blocks.clone());
        self.add("free_slots", self.free_slots.clone());
        self.add("capacity_slots", self.capacity.clone());
        self.add("operations", self.executions.clone());
        self.add("operation_failures", self.failed.clone());
        self.add("operation_duration_seconds", self.operation_durations.clone());
        self.add("reads", self.reads.clone());
        self.add("read_failures", self.read_failures.clone());
        self.add("read_duration_seconds", self.read_durations.clone());
        self.add("last_read_timestamp_seconds", self.read_at.clone());
        self.add("ec2_calls", self.calls.ended.clone());
        self.add("ec2_call_duration_seconds", self.calls.took.clone());
        self.add("clock_skew_seconds", self.clock_skew.clone());
        self.add("metrics_listen_failures", self.listen_failures.clone());
        self.add("netlink_overruns", self.overruns.clone());
        self.add("restore_duration_seconds", self.restored.clone());
        self.add("loop_iterations", self.iterations.clone());
        self.add("loop_duration_seconds", self.loop_durations.clone());
        self.add("last_loop_timestamp_seconds", self.last_loop_at.clone());
        self.add("publish_requests", self.published.clone());
        self.add("publish_failures", self.publish_failures.clone());
        self.add("events", self.events.clone());
        self.add("volumes", self.volumes.clone());
        self.add("volume_problems", self.volume_problems.clone());
        self.add("volume_problem_age_seconds", self.volume_ages.clone());
        self.registry.register_collector(Box::new(Process));
    }

    /// Registers a metric with the help text from the table.
    fn add(&mut self, name: &'static str, metric: impl Metric) {
        let help = table::help(name);
        self.registry.sub_registry_with_prefix(PREFIX).register(name, help, metric);
    }

    /// A read of an external system has started.
    pub(crate) fn read_started(&self, system: System) {
        self.last_reads.read_started(system);
    }

    /// A read of an external system has ended.
    pub(crate) fn read<T, E: std::fmt::Display>(&self, system: System, read: &Result<T, E>) {
        self.reads.get_or_create(&Reads { system }).inc();
        if let Some(took) = self.last_reads.answered(system) {
            self.read_durations.get_or_create(&Reads { system }).observe(took.as_secs_f64());
        }
        let mut outages = self.outages.lock().unwrap_or_else(PoisonError::into_inner);
        let outage = outages.entry(system).or_insert_with(|| Outage::new(system.display_name()));
        match read {
            Ok(_) => {
                outage.ended();
                self.last_reads.read(system);
                self.read_at.get_or_create(&Reads { system }).set(now());
            }
            Err(why) => {
                self.read_failures.get_or_create(&Reads { system }).inc();
                self.last_reads.failed(system, why);
                outage.lasts(why);
            }
        }
    }

    /// Sets the offsets from other clocks.
    pub(crate) fn clocks(&self, readings: &[Reading]) {
        for Reading { clock, ahead } in readings {
            self.clock_skew.get_or_create(&Clocks { clock: self::clock(*clock) }).set(*ahead);
        }
    }

    /// An iteration of the loop has completed after this time.
    pub(crate) fn iteration_completed(&self, took: Duration) {
        self.loop_durations.observe(took.as_secs_f64());
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.iterations.inc();
        self.last_loop_at.set(now());
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

    /// Sets the status that would be published now.
    pub(crate) fn would_publish(&self, object: NodeAttachments) {
        self.failing.set(i64::from(object.status.addresses_failing));
        // While the slots are unknown, the last value stays, like the capacity.
        if let Some(slots) = object.status.slots {
            self.free_slots.set(i64::from(slots.free));
        }
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(object);
    }

    /// The report about the node; none before the first observation.
    pub(crate) fn report(&self) -> Option<NodeReport> {
        let object = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some(NodeReport { object, observed: self.last_reads.shown() })
    }

    /// The last log lines, without secrets.
    pub(crate) fn log(&self) -> String {
        Redactor::of_this_process().lines(&self.log.text())
    }

    /// The metrics in OpenMetrics text format.
    pub(crate) fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Unix time in seconds.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn f038_agent_whose_loop_is_stuck_is_not_live() {
        let status = Status::default();
        assert!(status.is_live() && !status.is_ready());
        tokio::time::advance(STUCK).await;
        assert!(!status.is_live());
        status.iteration_completed(Duration::ZERO);
        assert!(status.is_live());
    }
}
