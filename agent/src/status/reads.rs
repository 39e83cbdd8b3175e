//! Metrics of the reads of external systems, and the age of what they returned.

use std::fmt::Display;

use firecamp_registry::api::Observation;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::last_reads::LastReads;
use super::{Histograms, add, now, quick};

/// An external system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub(crate) enum System {
    Registry,
    Metadata,
    Ec2,
    Ec2Volumes,
    Ec2Types,
    Ec2Reservations,
    Kernel,
    Volumes,
    Claims,
}

impl System {
    /// All systems.
    pub(crate) const ALL: [Self; 9] = [
        Self::Registry,
        Self::Metadata,
        Self::Ec2,
        Self::Ec2Volumes,
        Self::Ec2Types,
        Self::Ec2Reservations,
        Self::Kernel,
        Self::Volumes,
        Self::Claims,
    ];

    /// The name in `/v1/node`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Metadata => "metadata",
            Self::Ec2 => "ec2",
            Self::Ec2Volumes => "ec2Volumes",
            Self::Ec2Types => "ec2Types",
            Self::Ec2Reservations => "ec2Reservations",
            Self::Kernel => "kernel",
            Self::Volumes => "volumes",
            Self::Claims => "claims",
        }
    }

    /// The name in log lines.
    pub(super) fn display_name(self) -> &'static str {
        match self {
            Self::Registry => "the registry",
            Self::Metadata => "the metadata service",
            Self::Ec2 => "EC2",
            Self::Ec2Volumes => "EC2 volumes",
            Self::Ec2Types => "EC2 instance types",
            Self::Ec2Reservations => "EC2 subnet reservations",
            Self::Kernel => "the kernel",
            Self::Volumes => "volumes of the node",
            Self::Claims => "volumes of the cluster",
        }
    }
}

/// Labels of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Reads {
    pub(crate) system: System,
}

/// The reads of each external system, and whether the agent's view of them is up to date.
#[derive(Debug)]
pub(crate) struct ReadMetrics {
    last_reads: LastReads,
    /// Ended reads.
    pub(crate) counts: Family<Reads, Counter>,
    /// Failed reads.
    pub(crate) failures: Family<Reads, Counter>,
    durations: Histograms<Reads>,
    /// Time of the last successful read.
    read_at: Family<Reads, Gauge>,
    /// Whether the view of the registry is up to date.
    pub(crate) registry_synced: Gauge,
    /// Netlink overruns.
    pub(crate) overruns: Counter,
}

impl ReadMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            last_reads: LastReads::default(),
            counts: add(registry, "reads", Family::default()),
            failures: add(registry, "read_failures", Family::default()),
            durations: add(registry, "read_duration_seconds", of_all_systems()),
            read_at: add(registry, "last_read_timestamp_seconds", Family::default()),
            registry_synced: add(registry, "registry_synced", Gauge::default()),
            overruns: add(registry, "netlink_overruns", Counter::default()),
        }
    }

    /// A read has started.
    pub(crate) fn started(&self, system: System) {
        self.last_reads.started(system);
    }

    /// A read has ended.
    pub(crate) fn ended<T, E: Display>(&self, system: System, read: &Result<T, E>) {
        let labels = Reads { system };
        self.counts.get_or_create(&labels).inc();
        if let Some(took) = self.last_reads.answered(system) {
            self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        }
        match read {
            Ok(_) => {
                self.last_reads.succeeded(system);
                self.read_at.get_or_create(&labels).set(now());
            }
            Err(why) => {
                self.failures.get_or_create(&labels).inc();
                self.last_reads.failed(system, why);
            }
        }
    }

    /// The age of the data of each system that was read.
    pub(super) fn shown(&self) -> Vec<Observation> {
        self.last_reads.shown()
    }
}

/// All histograms exist from the start, so that the agent's memory does not grow later.
fn of_all_systems() -> Histograms<Reads> {
    let durations = Family::new_with_constructor(quick as fn() -> Histogram);
    for system in System::ALL {
        drop(durations.get_or_create(&Reads { system }));
    }
    durations
}
