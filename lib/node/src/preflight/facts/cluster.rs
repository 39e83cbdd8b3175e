//! What the cluster says of this node.

use std::net::Ipv4Addr;

use super::Fact;

/// What was read from the Kubernetes API; nothing was where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InCluster {
    /// This instance's Node; none if no Node is of this instance.
    pub node: Fact<Option<KubeNode>>,
    /// What the VPC CNI does to sources; none if its DaemonSet is not there.
    pub snat: Fact<Option<Snat>>,
    /// How many volumes the EBS CSI driver offers the scheduler on this node; none if it offers
    /// no number.
    pub offered: Fact<Option<u32>>,
}

/// A Node, as far as its addresses go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeNode {
    /// Its name.
    pub name: String,
    /// Its addresses of type InternalIP, in their order.
    pub internal: Vec<Ipv4Addr>,
    /// Its kubelet was given `--node-ip`.
    pub fixed: bool,
}

/// What the VPC CNI is told to do with the sources of packets that leave the VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snat {
    /// Somebody outside of the node does it: the node leaves sources alone.
    pub external: bool,
    /// Ranges outside the VPC to which sources are left alone, as they are written there.
    pub excluded: String,
}
