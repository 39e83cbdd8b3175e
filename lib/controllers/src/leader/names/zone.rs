//! The DNS zones in which members may be named.

use firecamp_core::contract::names::zone_asked;
use firecamp_core::ids::{ClusterName, DnsZone};

/// The zones that the cluster's administrator allows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedZones(Vec<DnsZone>);

impl AllowedZones {
    /// These zones, and every zone below one of them. `default` stands for the zone of the cluster.
    pub fn new(zones: &[DnsZone], cluster: &ClusterName) -> Self {
        Self(zones.iter().filter_map(|zone| zone_asked(zone.as_str(), Some(cluster))).collect())
    }

    /// The zone that a user asks for, if it is allowed.
    pub(super) fn allowed(&self, asked: &str, cluster: &ClusterName) -> Option<DnsZone> {
        let zone = zone_asked(asked, Some(cluster))?;
        self.0.iter().any(|allowed| zone.is_within(allowed)).then_some(zone)
    }
}
