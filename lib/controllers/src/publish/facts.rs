//! What an agent knows of its node at one moment. It may be old: it only reports.

use firecamp_core::ids::{InstanceId, NodeName, Zone};
use firecamp_core::node::Eni;
use firecamp_core::record::{Pool, StaticIp};
use firecamp_node::volumes::{PodVolumes, Table};
use firecamp_registry::api::EniManager;

/// Everything. What could not be found out is none, which is never the same as empty.
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
    /// The static IPs whose records name this node, or that are in its kernel.
    pub addresses: Option<Vec<AddressFact>>,
    /// All pools.
    pub pools: Option<Vec<Pool>>,
    /// The volumes.
    pub volumes: Option<Table>,
    /// The pods that claim volumes.
    pub pods: Option<Vec<PodVolumes>>,
    /// What the preflight found.
    pub checks: Vec<Check>,
}

impl Facts {
    /// Those of a node of which nothing is known yet.
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            instance: None,
            zone: None,
            enis: None,
            addresses: None,
            pools: None,
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
    /// As the metadata service describes it.
    pub eni: Eni,
    /// How many addresses it takes, its primary one and its prefixes included, if that is known.
    pub limit: Option<u32>,
    /// The kernel's name of its link.
    pub link: Option<String>,
    /// Who gives addresses to it.
    pub managed_by: EniManager,
    /// Members get it, if FireCamp may use it: it is the one that is chosen in the subnet of a
    /// pool. None while the pools are not known.
    pub carries: Option<bool>,
}

/// A static IP of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AddressFact {
    /// Its record.
    pub record: StaticIp,
    /// The kernel has all that it needs for it; of an address that does not belong here: any part
    /// of it.
    pub in_kernel: Option<bool>,
    /// EC2 has it on the recorded ENI.
    pub in_ec2: Option<bool>,
    /// Who has it in EC2 though it is none of this cluster's to have it.
    pub foreign: Option<String>,
    /// Why its last errand failed, if it did: a stable reason and a text.
    pub failing: Option<(String, String)>,
}

/// Something that was checked on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Check {
    /// The type of its condition. *True* is good.
    pub kind: String,
    /// Whether it is so; none if that is not known.
    pub good: Option<bool>,
    /// It keeps addresses from being attached or kept here.
    pub blocks: bool,
    /// Its stable reason.
    pub reason: String,
    /// What was found and what to do about it.
    pub message: String,
}
