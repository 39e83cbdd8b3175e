//! The facts about a member: plain data; each fact is known or unknown.

use std::net::Ipv4Addr;

use firecamp_core::agent::KernelOwner;
use firecamp_core::ids::{Member, NodeName};
use firecamp_core::lock_rule::LockRecord;
use firecamp_core::ports::{KernelView, Owner, PodView};
use firecamp_core::record::{Claim, StaticIp};
use firecamp_registry::api::{AddressStatus, Condition};

pub use crate::common::known_or_unknown::Answer;

/// The facts about a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The member.
    pub member: Member,
    /// Its claim.
    pub claim: Answer<Option<Claim>>,
    /// The conditions of the claim, for example whether the pod has its volumes.
    pub conditions: Answer<Vec<Condition>>,
    /// The StaticIP of the address that the claim names.
    pub address: Answer<Option<StaticIp>>,
    /// Without a claim: an address whose StaticIP names the member.
    pub recorded: Option<Ipv4Addr>,
    /// Its pod.
    pub pod: Answer<PodView>,
    /// The ENI that has the address in EC2.
    pub owner: Answer<Owner>,
    /// The node that this command runs on, if known.
    pub here: Option<NodeName>,
    /// The state of the address on this node, if this is the recorded node.
    pub node: NodeFacts,
    /// What the agent of the recorded node reports about it, in the cluster or on its own page.
    pub agent: Answer<Option<AddressStatus>>,
}

/// The state of an address on the recorded node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// The node-local lock.
    pub lock: Answer<Option<LockRecord>>,
    /// Whether the kernel has the address, and who configured it.
    pub mark: Answer<Option<KernelOwner>>,
    /// The complete kernel state of the address.
    pub view: Answer<KernelView>,
    /// The static-IP file.
    pub file: Answer<FileState>,
}

/// The state of a static-IP file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileState {
    /// The file does not exist.
    Absent,
    /// The file contains this address.
    Contains(Ipv4Addr),
    /// The file contains something other than an address.
    Invalid(String),
}

impl NodeFacts {
    /// The state of the node is unknown, for this reason.
    pub fn unknown(why: &str) -> Self {
        Self {
            lock: Answer::unknown(why),
            mark: Answer::unknown(why),
            view: Answer::unknown(why),
            file: Answer::unknown(why),
        }
    }
}
