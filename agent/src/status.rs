//! The agent's own status: metrics, probes and the node report.

mod addresses;
pub(crate) mod ec2_calls;
mod endpoint;
mod health;
mod last_reads;
mod leadership;
mod operations;
pub(crate) mod preflight;
mod process;
mod publishing;
pub(crate) mod reads;
pub(crate) mod table;
mod volumes;

use firecamp_registry::api::NodeReport;
use firecamp_run::recent_log::Recent;
use firecamp_run::redact::Redactor;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use self::addresses::AddressMetrics;
pub(crate) use self::ec2_calls::{Call, Ec2Calls};
pub(crate) use self::endpoint::EndpointMetrics;
use self::health::Health;
pub(crate) use self::leadership::LeadershipMetrics;
use self::operations::OperationMetrics;
pub(crate) use self::operations::Operations;
use self::preflight::PreflightMetrics;
use self::process::Process;
use self::publishing::PublishMetrics;
pub(crate) use self::publishing::{Reasons, Requests};
use self::reads::ReadMetrics;
pub(crate) use self::reads::System;
use self::volumes::VolumeMetrics;
pub(crate) use self::volumes::{Problems, Volumes};

/// The prefix of the agent's metrics.
pub(crate) const PREFIX: &str = "firecamp_agent";

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// Metrics and probes of one agent. Each group of metrics registers itself.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) addresses: AddressMetrics,
    pub(crate) preflight: PreflightMetrics,
    pub(crate) operations: OperationMetrics,
    pub(crate) reads: ReadMetrics,
    pub(crate) ec2_calls: Ec2Calls,
    pub(crate) leader: LeadershipMetrics,
    pub(crate) health: Health,
    pub(crate) publishing: PublishMetrics,
    pub(crate) volumes: VolumeMetrics,
    pub(crate) endpoint: EndpointMetrics,
    /// Failed attempts to listen on `--metrics-listen`.
    pub(crate) listen_failures: Counter,
    registry: Registry,
    /// The last log lines.
    log: Recent,
}

impl Default for Status {
    fn default() -> Self {
        Self::new(Recent::default())
    }
}

impl Status {
    /// A status with the log buffer of this process.
    pub(crate) fn new(log: Recent) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process));
        let agent = registry.sub_registry_with_prefix(PREFIX);
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        agent.register("build", table::help("build"), version);
        Self {
            addresses: AddressMetrics::new(agent),
            preflight: PreflightMetrics::new(agent),
            operations: OperationMetrics::new(agent),
            reads: ReadMetrics::new(agent),
            ec2_calls: Ec2Calls::new(agent),
            leader: LeadershipMetrics::new(agent),
            health: Health::new(agent),
            publishing: PublishMetrics::new(agent),
            volumes: VolumeMetrics::new(agent),
            endpoint: EndpointMetrics::new(agent),
            listen_failures: add(agent, "metrics_listen_failures", Counter::default()),
            registry,
            log,
        }
    }

    /// The report about the node; none before the first observation.
    pub(crate) fn report(&self) -> Option<NodeReport> {
        Some(NodeReport { object: self.publishing.wanted()?, observed: self.reads.shown() })
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

/// Registers a metric with the help text from the table.
fn add<M: Metric + Clone>(registry: &mut Registry, name: &'static str, metric: M) -> M {
    registry.register(name, table::help(name), metric.clone());
    metric
}

fn quick() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 14))
}

/// Unix time in seconds.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
