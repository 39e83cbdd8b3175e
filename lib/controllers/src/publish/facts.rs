//! What an agent knows about its node at one moment. It may be stale: it is used for status only.

use firecamp_core::agent::ResourceList;
use firecamp_core::ids::{InstanceId, NodeName, ResourceName, Zone};
use firecamp_core::node_identity::Eni;
use firecamp_core::record::{Pool, StaticIp};
use firecamp_node::volumes::{PodVolumes, Table};
use firecamp_registry::api::EniManager;

/// All facts. An unknown part is none, which is never the same as empty.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Facts {
    /// The node.
    pub node: NodeName,
    /// Its instance.
    pub instance: Option<InstanceId>,
    /// The zone of the instance.
    pub zone: Option<Zone>,
    /// Its network interfaces.
    pub enis: Option<Vec<EniFact>>,
    /// The static IPs whose records name this node or that are in its kernel.
    pub addresses: Option<Vec<AddressFact>>,
    /// All pools, the oldest first.
    pub pools: Option<Vec<Pool>>,
    /// How much of each extended resource of pools the node's pods occupy.
    pub requested: Option<ResourceList>,
    /// The volumes.
    pub volumes: Option<Table>,
    /// The pods that claim volumes.
    pub pods: Option<Vec<PodVolumes>>,
    /// The results of the preflight.
    pub checks: Vec<Check>,
}

impl Facts {
    /// The facts about a node of which nothing is known yet.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            instance: None,
            zone: None,
            enis: None,
            addresses: None,
            pools: None,
            requested: None,
            volumes: None,
            pods: None,
            checks: Vec::new(),
        }
    }
}

/// A network interface of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EniFact {
    /// The ENI as the metadata service describes it.
    pub eni: Eni,
    /// The maximum number of addresses, including the primary address and prefixes, if known.
    pub limit: Option<u32>,
    /// The name of its link in the kernel.
    pub link: Option<String>,
    /// Who manages its addresses.
    pub managed_by: EniManager,
    /// Whether members get it, if FireCamp may use it: it is the chosen ENI in the subnet of a
    /// pool. None while the pools are not known.
    pub carries: Option<bool>,
    /// The extended resource that counts its slots: that of the oldest pool in its subnet.
    #[cfg_attr(feature = "serde", serde(default))]
    pub resource: ResourceName,
}

/// A static IP of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AddressFact {
    /// Its record.
    pub record: StaticIp,
    /// Whether the kernel has the address, its rule and its routes; for an address that does not
    /// belong to this node: any part of it.
    pub in_kernel: Option<bool>,
    /// Whether EC2 has it on the recorded ENI.
    pub in_ec2: Option<bool>,
    /// The foreign ENI, one without this cluster's tag, that has it in EC2.
    pub foreign: Option<String>,
    /// Why its last operation failed, if it did: a stable reason and a message.
    pub failing: Option<(String, String)>,
    /// Whether it is parked here and a CIDR reservation of type explicit covers it: the agent
    /// unassigns it when another member needs its slot.
    #[cfg_attr(feature = "serde", serde(default))]
    pub evictable: bool,
}

/// The result of a check on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Check {
    /// The type of its condition. *True* is good.
    pub kind: String,
    /// Whether the condition holds; none if unknown.
    pub good: Option<bool>,
    /// Whether a failure keeps addresses from being attached to this node or kept on it.
    pub blocks: bool,
    /// Its stable reason.
    pub reason: String,
    /// What the check found and what to do about it.
    pub message: String,
}
