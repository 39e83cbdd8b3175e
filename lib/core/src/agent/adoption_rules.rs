//! Adoption: an address of a pool that EC2 has and no record claims gets a record, parked and
//! without a member, if the pool's policy declares that only FireCamp assigns its addresses. The
//! existing machines continue from there.
//!
//! Guarantees: an address is due only after two complete reads of EC2 that are the grace period
//! apart, if no read between them failed or did not show it, and no read of its record failed or
//! found one. A due address is a reason to read everything again ([`Evidence`]) and authorises
//! nothing. Creating the record is the allocation, so the first process that creates it wins.
//! Assumptions: the pool's declaration is right. Caveats: if a person deleted the record while its
//! pod runs on another node, this node does not know; the address is on this node's ENI, though.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use thiserror::Error;

use super::KernelOwner;
use crate::allocate::hands_out;
use crate::contract::timing;
use crate::ids::{
    ClusterName, EniId, Epoch, InstanceId, Member, NodeName, PodUid, RunId, SubnetId,
};
use crate::lock_rule::{Hold, LockRecord};
use crate::network_interface::Interface;
use crate::ports::{Owner, SocketScope, SocketUse};
use crate::record::{Attachment, OrphanPolicy, Pool, PoolSubnet, State, StaticIp};
use crate::time::Moment;

/// A secondary address of one of this node's ENIs that is a candidate for adoption.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Orphan {
    /// The ENI.
    pub eni: EniId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// The address.
    pub address: Ipv4Addr,
}

/// The candidates in one complete listing of this instance's interfaces, if no record claims them:
/// on an ENI that has the cluster's tag and that FireCamp may use (`usable`), and of a pool with
/// the policy Adopt.
pub fn orphans(
    listing: &[Interface],
    usable: &BTreeSet<EniId>,
    pools: &[Pool],
    cluster: &ClusterName,
) -> BTreeSet<Orphan> {
    let ours = |one: &&Interface| {
        one.cluster.as_deref() == Some(cluster.as_str()) && usable.contains(&one.id)
    };
    let of = |one: &Interface| {
        let orphan = |address: &Ipv4Addr| Orphan {
            eni: one.id.clone(),
            subnet: one.subnet.clone(),
            address: *address,
        };
        one.addresses.iter().map(orphan).collect::<Vec<_>>()
    };
    let all = listing.iter().filter(ours).flat_map(of);
    all.filter(|orphan| declared(pools, orphan).is_ok()).collect()
}

/// Whether one pool has the address, and its policy is Adopt.
pub fn is_adopted(pools: &[Pool], orphan: &Orphan) -> bool {
    declared(pools, orphan).is_ok()
}

/// The one pool that has the address, if its policy is Adopt.
fn declared<'a>(
    pools: &'a [Pool],
    orphan: &Orphan,
) -> Result<(&'a Pool, &'a PoolSubnet), NotAdopted> {
    let entries = pools.iter().flat_map(|pool| pool.subnets.iter().map(move |entry| (pool, entry)));
    let mut holding = entries.filter(|(_, entry)| hands_out(entry, orphan.address));
    let (Some((pool, entry)), None) = (holding.next(), holding.next()) else {
        return Err(NotAdopted::NotDeclared);
    };
    let declared = pool.orphaned == OrphanPolicy::Adopt && entry.subnet == orphan.subnet;
    if declared { Ok((pool, entry)) } else { Err(NotAdopted::NotDeclared) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    since: Moment,
    observations: u32,
}

/// The addresses that were observed without a record so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopter {
    observed: BTreeMap<Orphan, Candidate>,
}

/// The number of observations that must agree.
const OBSERVATIONS: u32 = 2;
/// At most this many addresses are due at once: each costs an EC2 read and three registry lists.
/// The rest is due with the next observation.
const AT_ONCE: usize = 4;

impl Adopter {
    /// A read failed: forgets all candidates, because their presence was not observed continuously.
    pub fn reset(&mut self) {
        self.observed.clear();
    }

    /// Adds a complete EC2 read, which began and ended at these moments. `recorded` says for each
    /// address whether it has a record, and omits those whose read failed. Returns what is due,
    /// once: the grace period of a due address starts again, whatever comes of it.
    pub fn observe(
        &mut self,
        orphans: &BTreeSet<Orphan>,
        recorded: &BTreeMap<Ipv4Addr, bool>,
        (begun, now): (Moment, Moment),
    ) -> Vec<Orphan> {
        let orphaned = |orphan: &Orphan| recorded.get(&orphan.address) == Some(&false);
        self.observed.retain(|orphan, _| orphans.contains(orphan) && orphaned(orphan));
        let mut due = Vec::new();
        for orphan in orphans.iter().filter(|orphan| orphaned(orphan)) {
            let new = Candidate { since: now, observations: 0 };
            let known = self.observed.entry(orphan.clone()).or_insert(new);
            known.observations = known.observations.saturating_add(1);
            let observed = known.observations >= OBSERVATIONS
                && begun.since(known.since) >= timing::ADOPT_GRACE;
            if due.len() < AT_ONCE && observed {
                due.push(orphan.clone());
            }
        }
        self.observed.retain(|orphan, _| !due.contains(orphan));
        due
    }
}

/// What was read again about an address that is due. It is complete: if any read failed, there is
/// no evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evidence {
    /// This node.
    pub node: NodeName,
    /// This instance.
    pub instance: InstanceId,
    /// The cluster whose tag the ENI must have.
    pub cluster: ClusterName,
    /// Whether a record exists.
    pub recorded: bool,
    /// All pools.
    pub pools: Vec<Pool>,
    /// A member whose claim names or requests the address.
    pub claimed: Option<Member>,
    /// The owner in EC2.
    pub owner: Owner,
    /// What this node's kernel has of the address.
    pub kernel: Option<KernelOwner>,
    /// The record of this node's lock.
    pub lock: Option<LockRecord>,
    /// A process acted on it on this node, but its lock record is torn.
    pub torn: bool,
    /// The sockets on this node that use it.
    pub sockets: SocketUse,
    /// The pods of this node that are not terminal.
    pub pods: BTreeSet<PodUid>,
}

/// Why an address is not adopted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum NotAdopted {
    /// It has a record.
    #[error("it has a StaticIP")]
    Recorded,
    /// A claim names it.
    #[error(
        "the claim of {0} names it, and its member does not start while EC2 has it there without a \
         StaticIP: unassign it in EC2, or delete the claim"
    )]
    Claimed(Member),
    /// Not exactly one range has it, or the pool's policy is not Adopt.
    #[error(
        "no pool or more than one pool has it in this subnet, or its pool's orphanPolicy is Report"
    )]
    NotDeclared,
    /// EC2 reports it elsewhere now, or its ENI is not tagged for the cluster.
    #[error("EC2 does not show it as a secondary address of an ENI of the cluster on this node")]
    NotHere,
    /// This node's kernel has it.
    #[error("this node's kernel has it, so a process may use it")]
    InKernel,
    /// A pod holds it by this node's lock.
    #[error("pod {0} holds it according to this node's lock")]
    Held(PodUid),
    /// The lock record is torn.
    #[error("this node's lock record for it cannot be read")]
    Torn,
    /// The pod that held it last on this node still exists.
    #[error("pod {0}, which held it last on this node, still exists")]
    PodLives(PodUid),
    /// It is in use.
    #[error("it is in use on this node: {0}")]
    InUse(SocketUse),
}

/// The record of an adopted address, unless the evidence speaks against adoption: parked on its
/// ENI, with placeholders for member and pod.
pub fn adopt(orphan: &Orphan, evidence: &Evidence, run: RunId) -> Result<StaticIp, NotAdopted> {
    let (pool, entry) = declared(&evidence.pools, orphan)?;
    if evidence.recorded {
        return Err(NotAdopted::Recorded);
    }
    if let Some(member) = &evidence.claimed {
        return Err(NotAdopted::Claimed(member.clone()));
    }
    if !is_here(orphan, evidence) {
        return Err(NotAdopted::NotHere);
    }
    unused(evidence)?;
    // Higher than the last epoch here, so that a superseded pod's late changes are refused.
    let epoch = evidence.lock.as_ref().map_or(0, |last| last.holder.epoch.0).saturating_add(1);
    let attachment = Attachment {
        state: State::Parked,
        pod: PodUid::orphaned(),
        node: evidence.node.clone(),
        eni: Some(orphan.eni.clone()),
        run,
        served: false,
    };
    Ok(StaticIp {
        address: orphan.address,
        pool: pool.name.clone(),
        subnet: entry.subnet.clone(),
        cidr: entry.cidr,
        zone: entry.zone.clone(),
        member: Member::orphaned(orphan.address),
        epoch: Epoch(epoch),
        attachment: Some(attachment),
        reserved_on: Some(orphan.eni.clone()),
        pending_mutations: BTreeSet::new(),
    })
}

fn is_here(orphan: &Orphan, evidence: &Evidence) -> bool {
    match &evidence.owner {
        Owner::Unassigned => false,
        Owner::Eni(eni) => {
            eni.id == orphan.eni
                && !eni.primary
                && eni.cluster.as_deref() == Some(evidence.cluster.as_str())
                && eni.instance.as_ref() == Some(&evidence.instance)
        }
    }
}

/// Whether no pod or process on this node holds the address, or held it and may still use it.
fn unused(evidence: &Evidence) -> Result<(), NotAdopted> {
    if evidence.kernel.is_some() {
        return Err(NotAdopted::InKernel);
    }
    if evidence.torn {
        return Err(NotAdopted::Torn);
    }
    if let Some(LockRecord { holder, hold }) = &evidence.lock {
        if *hold == Hold::Held {
            return Err(NotAdopted::Held(holder.pod.clone()));
        }
        if evidence.pods.contains(&holder.pod) {
            return Err(NotAdopted::PodLives(holder.pod.clone()));
        }
    }
    if !evidence.sockets.idle(SocketScope::All) {
        return Err(NotAdopted::InUse(evidence.sockets));
    }
    Ok(())
}
