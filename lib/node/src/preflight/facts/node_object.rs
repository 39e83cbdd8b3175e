//! Facts from the Kubernetes API about this node.

use std::net::Ipv4Addr;

use super::Fact;

/// What was read from the Kubernetes API; nothing without a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InCluster {
    /// This instance's Node; none if no Node has this instance's ID.
    pub node: Fact<Option<KubeNode>>,
    /// The VPC CNI's source NAT settings; none without its DaemonSet.
    pub snat: Fact<Option<Snat>>,
    /// How many volumes the EBS CSI driver reports to the scheduler for this node; none if it
    /// reports no number.
    pub offered: Fact<Option<u32>>,
}

/// A Node's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeNode {
    /// Its name.
    pub name: String,
    /// Its addresses of type InternalIP, in their order.
    pub internal: Vec<Ipv4Addr>,
    /// Whether its kubelet runs with `--node-ip`.
    pub fixed: bool,
}

/// The VPC CNI's settings for source NAT of packets that leave the VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snat {
    /// A NAT gateway outside the node does it; the node applies none.
    pub external: bool,
    /// Destination ranges outside the VPC without source NAT, as written in the setting.
    pub excluded: String,
}
