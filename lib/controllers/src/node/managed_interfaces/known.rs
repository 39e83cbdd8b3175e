//! What an agent reads to decide about the interfaces of its node.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::ids::{NodeName, PoolName, SubnetId, Uid, Version, Zone};
use firecamp_core::managed_interface::StoredInterface;

/// What is known about the interfaces of a node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InterfaceRead {
    /// The records of the node's interfaces.
    pub records: Vec<StoredInterface>,
    /// What pools want; none if no pool wants interfaces.
    pub wanted: Option<Wanted>,
}

/// What decides about new interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The pools that want interfaces; at least one.
    pub policies: Vec<PoolPolicy>,
    /// The Node.
    pub node: OwnNode,
    /// The UID of the cluster: that of its namespace kube-system.
    pub cluster_uid: Uid,
    /// What CNI plugins would do with an interface that is made.
    pub cni: CniSettings,
}

/// Settings of CNI plugins that decide whether they leave interfaces with certain tags alone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CniSettings {
    /// Those of the VPC CNI's DaemonSet; none if the cluster has none. It exists before the VPC CNI
    /// has written its configuration to a new node.
    pub vpc_cni: Option<VpcCniSettings>,
    /// If Cilium's operator manages the interfaces of this node, the tags of those that it leaves
    /// alone (`exclude-interface-tags`); it takes all if there are none.
    pub cilium_excludes: Option<BTreeMap<String, String>>,
    /// The cluster has the kind CiliumNode, but no object for this node yet.
    pub cilium_pending: bool,
}

/// Settings of the VPC CNI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VpcCniSettings {
    /// It reads no tags (`ENABLE_IMDS_ONLY_MODE`), so it takes every interface.
    pub reads_no_tags: bool,
    /// Pods may have security groups (`ENABLE_POD_ENI`), so the VPC resource controller attaches a
    /// trunk interface to each node.
    pub has_trunk: bool,
    /// Pods get no address of the primary interface (`AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG`).
    pub skips_primary: bool,
}

/// The interfaces that a pool wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPolicy {
    /// The pool.
    pub pool: PoolName,
    /// Its subnets, and the zone of each.
    pub subnets: BTreeMap<SubnetId, Zone>,
    /// The labels of the nodes that get interfaces.
    pub node_selector: BTreeMap<String, String>,
    /// The security groups; empty for those of the primary interface.
    pub groups: BTreeSet<String>,
    /// The most interfaces for one node in one subnet.
    pub maximum: u32,
}

/// The parts of its own Node that an agent needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnNode {
    /// Its name.
    pub name: NodeName,
    /// The version that was read.
    pub version: Version,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The keys of its taints, in order.
    pub taints: Vec<String>,
    /// How many pods its kubelet accepts.
    pub pods: Option<u32>,
}
