//! Network interfaces that FireCamp makes: their records, and what EC2 reports about them.
//!
//! The record is written before the first call to EC2 and deleted after the last one, so a crash
//! leaves nothing that no record names. An interface is created with a client token from its
//! record's UID: a repeated call returns the same interface.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::contract::tag;
use crate::ids::{ClusterName, EniId, InstanceId, InterfaceName, NodeName, SubnetId, Uid, Version};

/// How far an interface has come. A phase only follows those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Phase {
    /// It is being created and attached.
    Creating,
    /// The metadata service has listed it on its instance: it may carry addresses.
    Attached,
    /// It is being emptied and detached: members no longer get it.
    Draining,
    /// It was empty and detached for long enough: it is being deleted.
    Deleting,
}

impl Phase {
    /// Whether it is being removed: members no longer get it.
    pub fn is_removal(self) -> bool {
        self >= Self::Draining
    }
}

/// The record of one interface that FireCamp makes (`NodeInterface`). It outlives the node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeInterface {
    /// The node that it is made for.
    pub node: NodeName,
    /// The instance of the node.
    pub instance: InstanceId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its security groups; at least one.
    pub groups: BTreeSet<String>,
    /// How far it has come.
    pub phase: Phase,
    /// The interface, once EC2 has created it.
    pub eni: Option<EniId>,
    /// No attach that begins from now on can choose the interface, because the agent of the node
    /// has excluded it or its instance is gone.
    #[cfg_attr(feature = "serde", serde(default))]
    pub excluded: bool,
}

/// A stored record.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StoredInterface {
    /// Its name.
    pub name: InterfaceName,
    /// Its UID.
    pub uid: Uid,
    /// The version that a compare-and-swap must name.
    pub version: Version,
    /// The record.
    pub record: NodeInterface,
}

impl StoredInterface {
    /// The request that creates its interface. It depends on nothing but the record and the names
    /// of the cluster, so a repeated call matches its client token.
    pub fn request(&self, cluster: &ClusterName, cluster_uid: &Uid) -> NewInterface {
        let tags = [
            (tag::CNI_NO_MANAGE, "true"),
            (tag::CLUSTER, cluster.as_str()),
            (tag::CLUSTER_UID, cluster_uid.as_str()),
            (tag::INTERFACE, self.uid.as_str()),
            (tag::INSTANCE, self.record.instance.as_str()),
        ];
        let name = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        NewInterface {
            subnet: self.record.subnet.clone(),
            groups: self.record.groups.clone(),
            description: format!("FireCamp {cluster}: static IPs of {}", self.record.instance),
            tags: tags.into_iter().map(name).collect(),
            token: self.uid.to_string(),
        }
    }

    /// The same record, with its interface excluded and to be removed.
    #[must_use]
    pub fn excluded(&self) -> Self {
        let mut next = self.in_phase(self.record.phase.max(Phase::Draining));
        next.record.excluded = true;
        next
    }

    /// The same record in another phase.
    #[must_use]
    pub fn in_phase(&self, phase: Phase) -> Self {
        let mut next = self.clone();
        next.record.phase = phase;
        next
    }
}

/// A request for an interface. The same token with the same request creates one interface, however
/// often it is sent (Ensuring idempotency in Amazon EC2 API requests).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NewInterface {
    /// The subnet.
    pub subnet: SubnetId,
    /// The security groups; without one, EC2 takes the default group of the VPC.
    pub groups: BTreeSet<String>,
    /// The description, for people.
    pub description: String,
    /// Tags, set at the creation.
    pub tags: Vec<(String, String)>,
    /// The client token: at most 64 ASCII characters.
    pub token: String,
}

/// An interface as DescribeNetworkInterfaces reports it, attached or not. The report may be stale.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DescribedInterface {
    /// Its id.
    pub id: EniId,
    /// Its secondary private addresses.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// How many /28 prefixes it has.
    pub prefixes: u32,
    /// Its attachment, also while it is being attached or detached; none if it is `available`.
    pub attachment: Option<InterfaceAttachment>,
    /// The value of its tag `firecamp.io/interface`: the UID of its record.
    pub record: Option<String>,
    /// The value of its tag `firecamp.io/cluster-uid`.
    pub cluster_uid: Option<String>,
}

/// The attachment of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InterfaceAttachment {
    /// Its id (`eni-attach-…`), by which DetachNetworkInterface names it.
    pub id: String,
    /// The instance.
    pub instance: InstanceId,
    /// The device index.
    pub device_index: u32,
    /// Whether it is complete: neither attaching nor detaching.
    pub attached: bool,
}

/// Which interfaces to describe.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InterfaceFilter {
    /// This one, by a filter: one that EC2 does not know is not in the answer.
    Id(EniId),
    /// Those with this value of the tag `firecamp.io/interface`.
    Record(String),
    /// Those with this value of the tag `firecamp.io/cluster`, in a few long pages. One that cannot
    /// be parsed is left out, so an absence is only a reason to look again.
    Cluster(ClusterName),
}

/// What EC2 reports about an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum InstanceState {
    /// It exists: pending, running, stopping, stopped or shutting down.
    Exists,
    /// It is terminated, or EC2 does not know it. EC2 forgets a terminated one after about an hour,
    /// and a new one may be unknown for a while.
    Gone,
}
