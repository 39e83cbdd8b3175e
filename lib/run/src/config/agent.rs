//! The agent's configuration.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use firecamp_core::choose_interface::EniRule;
use firecamp_core::contract::{env, names};
use firecamp_core::ids::{ClusterName, DnsZone, NodeName};
use firecamp_registry::RegistryUrl;
use ipnet::Ipv4Net;

use super::Places;
use crate::config_errors::{Faults, Setting};
use crate::flags::{AgentFlags, NodeFlags};
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
    /// Where pods ask for their address, if they may.
    pub endpoint: Option<SocketAddrV4>,
    /// How pods with a network of their own are served, if they are.
    pub pod_networks: Option<PodNetworkSettings>,
    /// The DNS zones in which members may have records, none if the leader keeps no names.
    pub zones: Option<Vec<DnsZone>>,
    /// The registry and the lock directory.
    pub places: Places,
}

/// How the agent serves pods with a network of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetworkSettings {
    /// The directory with the network namespaces of pods.
    pub namespaces: PathBuf,
    /// The ranges of the cluster's pods and Services.
    pub cluster: Vec<Ipv4Net>,
}

/// None without ranges.
fn pod_networks(flags: &NodeFlags, faults: &mut Faults) -> Option<PodNetworkSettings> {
    let cluster = Setting::new("cluster-cidrs", env::CLUSTER_CIDRS, flags.cluster_cidrs.as_ref());
    let listen = Setting::new("endpoint-listen", env::ENDPOINT_LISTEN, None);
    if cluster.given() && flags.endpoint_listen.is_none() {
        faults.add(format!("{cluster} needs {listen}"));
    }
    let cluster = faults.optional(cluster, parse::ranges);
    let namespaces = Setting::new("netns-dir", env::NETNS_DIR, flags.netns_dir.as_ref());
    let namespaces = faults.required(namespaces, parse::absolute_path);
    cluster.zip(namespaces).map(|(cluster, namespaces)| PodNetworkSettings { namespaces, cluster })
}

/// The zones, if the leader keeps names at all.
fn zones(flags: &NodeFlags, faults: &mut Faults) -> Option<Vec<DnsZone>> {
    let names = Setting::new("names", env::NAMES, flags.names.as_ref());
    let keeps_names = faults.required(names, parse::boolean).unwrap_or_default();
    let zones = Setting::new("dns-zones", env::DNS_ZONES, flags.dns_zones.as_ref());
    if zones.given() && !keeps_names {
        faults.add(format!("{zones} needs {names}"));
    }
    let zones = faults.optional(zones, parse::zones).unwrap_or_default();
    keeps_names.then_some(zones)
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
        let endpoint =
            Setting::new("endpoint-listen", env::ENDPOINT_LISTEN, node.endpoint_listen.as_ref());
        let endpoint_set = endpoint;
        let endpoint = faults.optional(endpoint, parse::endpoint_listen);
        let pod_networks = pod_networks(node, &mut faults);
        let zones = zones(node, &mut faults);
        if let (Some(zones), Some(cluster)) = (&zones, &cluster) {
            let zone = names::zone_of(cluster);
            let has_default = zones.iter().any(|zone| zone.as_str() == names::DEFAULT_ZONE);
            if has_default && zone.parse::<DnsZone>().is_err() {
                faults.add(format!("--dns-zones: {zone} is not a DNS zone: name another one"));
            }
        }
        let eni = Setting::new("eni", env::ENI, node.eni.as_ref());
        let eni = faults.required(eni, str::parse::<EniRule>);
        let node = super::identity::node(node.node_name.as_ref(), around, &mut faults);
        let places = super::places(registry, around, &mut faults);
        let is_file = places.as_ref().is_some_and(|at| matches!(at.registry, RegistryUrl::File(_)));
        if endpoint.is_some() && is_file {
            faults.add(format!("{endpoint_set} needs the Kubernetes API: it reviews tokens there"));
        }
        if zones.is_some() && is_file {
            faults.add(format!("--names (or {}) needs the Kubernetes API", env::NAMES));
        }
        let config = cluster.zip(node).zip(eni).zip(listen).zip(places);
        let config = config.map(|((((cluster, node), eni), listen), places)| Self {
            cluster,
            node,
            eni,
            listen,
            metrics,
            endpoint,
            pod_networks,
            zones,
            places,
        });
        faults.unless(config)
    }
}
