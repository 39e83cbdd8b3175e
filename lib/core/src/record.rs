//! The registry's objects, as the protocol uses them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ids::{
    EniId, Epoch, Member, NodeName, PodUid, PoolName, ResourceName, RunId, SetName, SubnetId,
    Version, Zone,
};
use crate::shared_texts::SharedTexts;

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

/// What happens to an address of a pool that EC2 has on an ENI of the cluster without a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OrphanPolicy {
    /// It is reported: nothing proves whose it is.
    #[default]
    Report,
    /// It gets a record: the pool declares that only FireCamp assigns addresses of its ranges.
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
    /// What happens to its addresses that have no record.
    pub orphaned: OrphanPolicy,
    /// The extended resource that counts its slots.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "ResourceName::is_default")
    )]
    pub resource: ResourceName,
    /// One entry per subnet.
    pub subnets: Vec<PoolSubnet>,
}

/// A `StaticIPClaim`, named after its member.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Claim {
    /// The member.
    pub member: Member,
    /// The pool that it allocates from.
    pub pool: PoolName,
    /// The address that the claim requests, if any.
    pub requested: Option<Ipv4Addr>,
    /// The address that the claim is bound to, or is about to be: it is bound once a `StaticIP` of
    /// that name refers back to this member.
    pub address: Option<Ipv4Addr>,
    /// The StatefulSet that the claim is bound to: a StatefulSet of this name controls the member's
    /// pods. None if it was not recorded.
    pub set: Option<SetName>,
}

impl Claim {
    /// Keeps the texts that other claims repeat once for all.
    pub fn share(&mut self, texts: &mut SharedTexts) {
        self.member.share(texts);
        self.pool.share(texts);
        if let Some(set) = &mut self.set {
            set.share(texts);
        }
    }
}

/// The kind of a pending EC2 mutation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Mutation {
    /// AssignPrivateIpAddresses.
    Assign,
    /// UnassignPrivateIpAddresses.
    Unassign,
}

/// An EC2 mutation that may be in flight. The process that wrote it clears it, or a process that
/// has waited T since it acquired the epoch. A later one for the same mutation and ENI replaces it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PendingMutation {
    /// What was sent, or is about to be sent.
    pub mutation: Mutation,
    /// The ENI in the request.
    pub eni: EniId,
    /// The process that sends it.
    pub run: RunId,
}

/// The state of an attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// The epoch is acquired; EC2, kernel and file are in progress.
    Attaching,
    /// EC2, kernel and file agreed when this was written.
    Attached,
    /// Released; EC2 keeps the address on the ENI as a reservation.
    Parked,
    /// It is being removed from EC2.
    Releasing,
    /// It was removed from EC2: no ENI of ours has it.
    Released,
}

/// The current or last holder of the address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Attachment {
    /// Its state.
    pub state: State,
    /// The pod.
    pub pod: PodUid,
    /// The node that the pod runs on.
    pub node: NodeName,
    /// The ENI; none while releasing and after.
    pub eni: Option<EniId>,
    /// The process that wrote it.
    pub run: RunId,
    /// This pod has completed an attach on this node before: sockets on the address may be its own
    /// running service's, so a second run of its init container does not wait for them.
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
    /// The member that owns it.
    pub member: Member,
    /// Grows by one with each attachment, and with each release that unassigns.
    pub epoch: Epoch,
    /// The current attachment; none before the first.
    pub attachment: Option<Attachment>,
    /// The ENI on which EC2 last reported the address.
    pub reserved_on: Option<EniId>,
    /// EC2 mutations that may be in flight.
    pub pending_mutations: BTreeSet<PendingMutation>,
}

impl StaticIp {
    /// Keeps the texts that other records repeat once for all.
    pub fn share(&mut self, texts: &mut SharedTexts) {
        let Self { pool, subnet, zone, member, attachment, reserved_on, .. } = self;
        pool.share(texts);
        subnet.share(texts);
        zone.share(texts);
        member.share(texts);
        let enis = attachment.iter_mut().filter_map(|it| it.eni.as_mut());
        enis.chain(reserved_on).for_each(|eni| eni.share(texts));
        if let Some(Attachment { node, .. }) = attachment {
            node.share(texts);
        }
    }

    /// Whether an attach on this node looks up the owner in any case: the last holder was on
    /// another node, and nothing is pending.
    pub fn last_held_elsewhere(&self, node: &NodeName) -> bool {
        self.attachment.as_ref().is_some_and(|held| held.node != *node)
            && self.pending_mutations.is_empty()
    }

    /// Whether EC2 is known to have the address on `eni`: it was last reported there, the current
    /// attachment is there, and no mutation is pending. An attach of a settled record sends no call
    /// and records no pending mutation, so the record stays settled if it crashes.
    pub fn settled_on(&self, eni: &EniId) -> bool {
        let rests = self.attachment.as_ref().is_some_and(|a| match a.state {
            State::Attaching | State::Attached | State::Parked => a.eni.as_ref() == Some(eni),
            State::Releasing | State::Released => false,
        });
        rests && self.reserved_on.as_ref() == Some(eni) && self.pending_mutations.is_empty()
    }

    /// Whether it is being removed from EC2.
    pub fn is_releasing(&self) -> bool {
        self.attachment.as_ref().is_some_and(|a| a.state == State::Releasing)
    }

    /// Whether a mutation of `run` is still pending.
    pub fn has_pending_by(&self, run: &RunId) -> bool {
        self.pending_mutations.iter().any(|pending| pending.run == *run)
    }

    /// Whether EC2 may have the address on this ENI, or may yet assign it there. A pending Unassign
    /// only removes it.
    pub fn may_be_on(&self, eni: &EniId) -> bool {
        let assigns =
            |pending: &PendingMutation| pending.mutation == Mutation::Assign && pending.eni == *eni;
        self.attachment.as_ref().is_some_and(|it| it.eni.as_ref() == Some(eni))
            || self.reserved_on.as_ref() == Some(eni)
            || self.pending_mutations.iter().any(assigns)
    }

    /// Every ENI that this record names: where FireCamp itself may have assigned the address.
    pub fn recorded_enis(&self) -> BTreeSet<EniId> {
        let attached = self.attachment.iter().filter_map(|a| a.eni.clone());
        let reserved = self.reserved_on.iter().cloned();
        let pending = self.pending_mutations.iter().map(|m| m.eni.clone());
        attached.chain(reserved).chain(pending).collect()
    }

    /// Whether `pod` holds `epoch`: attaching or attached, not released and not superseded.
    pub fn held_by(&self, pod: &PodUid, epoch: Epoch) -> bool {
        self.epoch == epoch
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
    /// The static IP that the claim's address names, whoever owns it.
    pub static_ip: Option<Stored<StaticIp>>,
    /// The claim's pool; without a claim, the requested pool or the only one.
    pub pool: Option<Pool>,
}

/// A write to the registry, which is always a create-if-absent or a compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Write {
    /// Create the member's claim.
    CreateClaim(Claim),
    /// Replace the claim if it still has that version.
    UpdateClaim(Stored<Claim>),
    /// Create the address's object: this is the allocation.
    CreateStaticIp(StaticIp),
    /// Replace the static IP if it still has that version.
    UpdateStaticIp(Stored<StaticIp>),
}
