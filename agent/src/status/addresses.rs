//! Metrics of the addresses of this node.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::add;

/// How many addresses this node has, and how many of them differ from their record.
#[derive(Debug)]
pub(crate) struct AddressMetrics {
    /// Addresses attached to this node by record.
    pub(crate) attached: Gauge,
    /// Attached addresses that are missing or incomplete in the kernel.
    pub(crate) missing: Gauge,
    /// Attached addresses that EC2 shows elsewhere.
    pub(crate) misplaced: Gauge,
    /// Addresses without a record, until they are collected.
    pub(crate) orphaned: Gauge,
    /// Pods of this node that run with a pool's label and have no address.
    pub(crate) without_address: Gauge,
    /// Adopted addresses.
    pub(crate) adopted: Counter,
    /// Whether the leader has published no new, or no complete, observation of EC2 for too long.
    pub(crate) observation_stale: Gauge,
}

impl AddressMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            attached: add(registry, "attached_addresses", Gauge::default()),
            missing: add(registry, "missing_addresses", Gauge::default()),
            misplaced: add(registry, "misplaced_addresses", Gauge::default()),
            orphaned: add(registry, "orphaned_addresses", Gauge::default()),
            without_address: add(registry, "pods_without_address", Gauge::default()),
            adopted: add(registry, "adopted_addresses", Counter::default()),
            observation_stale: add(registry, "ec2_observation_stale", Gauge::default()),
        }
    }
}
