//! What is known of a member when it is judged: plain data, with what nobody could be asked.

use std::net::Ipv4Addr;

use firecamp_core::agent::KernelMark;
use firecamp_core::ids::{Member, NodeName};
use firecamp_core::lock::LockRecord;
use firecamp_core::outside::{KernelView, Owner, PodView};
use firecamp_core::record::{Claim, StaticIp};
use firecamp_registry::api::{AddressStatus, Condition};

pub use crate::look::asked::Asked;

/// Everything that is known of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The member.
    pub member: Member,
    /// Its claim.
    pub claim: Asked<Option<Claim>>,
    /// What is said of the claim: whether its pod has its volumes.
    pub said: Asked<Vec<Condition>>,
    /// The address that the claim names, as it is on record.
    pub address: Asked<Option<StaticIp>>,
    /// Without a claim: an address that is kept for the member all the same.
    pub kept: Option<Ipv4Addr>,
    /// Its pod.
    pub pod: Asked<PodView>,
    /// Who has the address in EC2.
    pub owner: Asked<Owner>,
    /// The node that this was found out on, if it is known.
    pub here: Option<NodeName>,
    /// What this node has of the address, if it is the node that is on record.
    pub node: NodeFacts,
    /// What the agent of the recorded node says of it, in the cluster or on the spot.
    pub agent: Asked<Option<AddressStatus>>,
}

/// What the recorded node has of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Who acted last on it there.
    pub lock: Asked<Option<LockRecord>>,
    /// The address in the kernel, and whose it is.
    pub mark: Asked<Option<KernelMark>>,
    /// All that the kernel needs for it.
    pub view: Asked<KernelView>,
    /// The static-IP file.
    pub file: Asked<FileFact>,
}

/// A static-IP file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileFact {
    /// There is none.
    Absent,
    /// It holds this address.
    Holds(Ipv4Addr),
    /// It holds something else than an address.
    Garbled(String),
}

impl NodeFacts {
    /// Nothing of the node can be seen, for this reason.
    pub fn unseen(why: &str) -> Self {
        Self {
            lock: Asked::not(why),
            mark: Asked::not(why),
            view: Asked::not(why),
            file: Asked::not(why),
        }
    }
}
