//! The agent's configuration.

use std::net::SocketAddr;

use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::env;
use firecamp_core::ids::{ClusterName, NodeName};

use super::Places;
use crate::config_errors::{Faults, Setting};
use crate::flags::AgentFlags;
use crate::parse;
use crate::pod_identity::Surroundings;

/// The agent's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentConfig {
    /// The cluster between whose ENIs addresses may move.
    pub cluster: ClusterName,
    /// The agent's node.
    pub node: NodeName,
    /// The ENI of members; the same rule as that of the init containers.
    pub eni: EniRule,
    /// The loopback address that serves probes and metrics.
    pub listen: SocketAddr,
    /// An additional address that serves only metrics.
    pub metrics: Option<SocketAddr>,
    /// The registry and the lock directory.
    pub places: Places,
}

impl AgentConfig {
    pub(crate) fn parse(
        flags: &AgentFlags,
        around: &Surroundings,
        mut faults: Faults,
    ) -> Result<Self, Faults> {
        let AgentFlags { node, registry, log: _parsed_before } = flags;
        let cluster = faults.required(super::cluster(node.cluster.as_ref()), super::cluster_name);
        let listen = Setting::new("listen", env::LISTEN, node.listen.as_ref());
        let listen = faults.required(listen, parse::loopback);
        let metrics =
            Setting::new("metrics-listen", env::METRICS_LISTEN, node.metrics_listen.as_ref());
        let metrics = faults.optional(metrics, parse::served);
        let eni = Setting::new("eni", env::ENI, node.eni.as_ref());
        let eni = faults.required(eni, str::parse::<EniRule>);
        let node = super::identity::node(node.node_name.as_ref(), around, &mut faults);
        let places = super::places(registry, around, &mut faults);
        let config = cluster.zip(node).zip(eni).zip(listen).zip(places);
        let config = config.map(|((((cluster, node), eni), listen), places)| Self {
            cluster,
            node,
            eni,
            listen,
            metrics,
            places,
        });
        faults.unless(config)
    }
}
