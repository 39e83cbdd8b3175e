//! The registry's objects as the protocol sees them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::bug::{Bug, planted};
use crate::ids::{
    EniId, Epoch, Member, NodeName, PodUid, PoolName, RunId, SetName, SubnetId, Version, Zone,
};

/// An object and the version of it that was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stored<T> {
    /// The version that a compare-and-swap must name.
    pub version: Version,
    /// The object.
    pub object: T,
}

/// What a release does in EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ReleasePolicy {
    /// The address stays on the ENI as a reservation.
    #[default]
    Keep,
    /// The address goes back to the subnet.
    Unassign,
}

/// What becomes of an address of a pool that EC2 has on an ENI of the cluster and nobody claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum UnclaimedPolicy {
    /// It is told: nothing proves whose it is.
    #[default]
    Report,
    /// It gets a record: a person has declared that nobody else assigns addresses of these ranges.
    Adopt,
}

/// Addresses of one subnet that a pool may hand out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PoolSubnet {
    /// The EC2 subnet.
    pub subnet: SubnetId,
    /// Its IPv4 CIDR block.
    pub cidr: Ipv4Net,
    /// Its availability zone.
    pub zone: Zone,
    /// Inclusive ranges, each inside the CIDR block.
    pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
}

/// A `StaticIPPool`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// What a release of its addresses does in EC2.
    pub release_policy: ReleasePolicy,
    /// What becomes of its addresses that nobody claims.
    pub unclaimed: UnclaimedPolicy,
    /// One entry per subnet.
    pub subnets: Vec<PoolSubnet>,
}

/// A `StaticIPClaim`, named after its member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Claim {
    /// Whose claim it is.
    pub member: Member,
    /// The pool that it draws from.
    pub pool: PoolName,
    /// The address that a person asked for, if one did.
    pub requested: Option<Ipv4Addr>,
    /// The address that the claim is bound to, or is about to be: the binding stands once a
    /// `StaticIP` of that name refers back to this member.
    pub address: Option<Ipv4Addr>,
    /// The StatefulSet that the claim is bound to: the member's pods are those of a set of this
    /// name. None where nobody has recorded one.
    pub set: Option<SetName>,
}

/// Which EC2 mutation a mark announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mutation {
    /// AssignPrivateIpAddresses.
    Assign,
    /// UnassignPrivateIpAddresses.
    Unassign,
}

/// An EC2 mutation that may be in flight. Cleared by the process that wrote it, or by one that has
/// waited T since its own take; a later mark for the same mutation and ENI takes its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mark {
    /// What was sent, or is about to be.
    pub mutation: Mutation,
    /// The ENI that it names.
    pub eni: EniId,
    /// The process that sends it.
    pub run: RunId,
}

/// Where an attachment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// Taken; EC2, kernel and file are on their way.
    Attaching,
    /// EC2, kernel and file agreed when this was written.
    Attached,
    /// Released; EC2 keeps the address on the ENI as a reservation.
    Parked,
    /// On its way out of EC2.
    Releasing,
    /// Out of EC2: on no ENI of ours.
    Released,
}

/// Who holds the address now, or held it last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attachment {
    /// Where it stands.
    pub state: State,
    /// The pod.
    pub pod: PodUid,
    /// The node that the pod runs on.
    pub node: NodeName,
    /// The ENI; none while releasing and after.
    pub eni: Option<EniId>,
    /// The process that wrote it.
    pub run: RunId,
    /// This pod has completed an attach on this node before: sockets on the address may be its
    /// own live service's, which a re-run of its init container does not wait for.
    pub served: bool,
}

/// A `StaticIP`, named by its address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StaticIp {
    /// The address, and the object's name.
    pub address: Ipv4Addr,
    /// The pool that it came from.
    pub pool: PoolName,
    /// Its EC2 subnet.
    pub subnet: SubnetId,
    /// The CIDR block of the subnet.
    pub cidr: Ipv4Net,
    /// The zone of the subnet.
    pub zone: Zone,
    /// The member that it belongs to.
    pub member: Member,
    /// Grows by one with each attachment, and with each release that unassigns.
    pub epoch: Epoch,
    /// The current attachment; none before the first.
    pub attachment: Option<Attachment>,
    /// The ENI on which EC2 was last known to have the address.
    pub reserved_on: Option<EniId>,
    /// EC2 mutations that may be in flight.
    pub unsettled: BTreeSet<Mark>,
}

impl StaticIp {
    /// Whether EC2 is known to have the address on `eni`: it was last seen there, the current
    /// attachment is there, and no mark says that a call may be in flight. An attach that found
    /// the record settled sends no call and leaves no mark, so it stays settled if it crashes.
    pub fn settled_on(&self, eni: &EniId) -> bool {
        let rests = self.attachment.as_ref().is_some_and(|a| match a.state {
            State::Attaching | State::Attached | State::Parked => a.eni.as_ref() == Some(eni),
            State::Releasing | State::Released => false,
        });
        let quiet = self.unsettled.is_empty() || planted(Bug::SettledIgnoresMarks);
        rests && self.reserved_on.as_ref() == Some(eni) && quiet
    }

    /// Whether it is on its way out of EC2.
    pub fn is_releasing(&self) -> bool {
        self.attachment.as_ref().is_some_and(|a| a.state == State::Releasing)
    }

    /// Whether a mutation that `run` marked may still be in flight.
    pub fn unsettled_by(&self, run: &RunId) -> bool {
        self.unsettled.iter().any(|mark| mark.run == *run)
    }

    /// Every ENI that this record names: where the address may be through our own doing.
    pub fn recorded_enis(&self) -> BTreeSet<EniId> {
        let attached = self.attachment.iter().filter_map(|a| a.eni.clone());
        let reserved = self.reserved_on.iter().cloned();
        let marked = self.unsettled.iter().map(|m| m.eni.clone());
        attached.chain(reserved).chain(marked).collect()
    }

    /// Whether `pod` holds `epoch`: attaching or attached, not released and not superseded.
    pub fn held_by(&self, pod: &PodUid, epoch: Epoch) -> bool {
        (self.epoch == epoch || planted(Bug::UidForEpoch))
            && self.attachment.as_ref().is_some_and(|a| match a.state {
                State::Attaching | State::Attached => a.pod == *pod,
                State::Parked | State::Releasing | State::Released => false,
            })
    }
}

/// What one fresh read of a member returns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemberRecords {
    /// The member's claim.
    pub claim: Option<Stored<Claim>>,
    /// The object that the claim's address names, whoever it belongs to.
    pub static_ip: Option<Stored<StaticIp>>,
    /// The claim's pool; without a claim, the pool that was asked for or the only one.
    pub pool: Option<Pool>,
}

/// A write to the registry. Every one is a create-if-absent or a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Write {
    /// Create the member's claim.
    CreateClaim(Claim),
    /// Replace the claim, if it is still at that version.
    UpdateClaim(Stored<Claim>),
    /// Create the address's object: this is the allocation.
    CreateStaticIp(StaticIp),
    /// Replace the address's object, if it is still at that version.
    UpdateStaticIp(Stored<StaticIp>),
}
