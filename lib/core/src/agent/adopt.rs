//! What EC2 has of a pool and nobody claims, where a person has declared that nobody else assigns
//! addresses of that pool: it gets a record, parked and nobody's, and the machines that exist go on
//! from there.
//!
//! Guarantees: an address is due only after two complete looks at EC2 itself that are the grace
//! period apart, with no look between them that failed or lacked it and no read of its record that
//! failed or found one. What is due is a reason to read everything afresh ([`Evidence`]), and no
//! authority. Creating the record is the allocation, so whoever else creates it first has it.
//! Assumptions: the person's declaration. Caveats: a record that a person has deleted while its pod
//! runs elsewhere is not known here; whoever has the address, its ENI is this one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use thiserror::Error;

use super::KernelMark;
use crate::allocate::hands_out;
use crate::bug::{Bug, planted};
use crate::contract::timing;
use crate::ids::{
    ClusterName, EniId, Epoch, InstanceId, Member, NodeName, PodUid, RunId, SubnetId,
};
use crate::interface::Interface;
use crate::lock::{Hold, LockRecord};
use crate::outside::{Owner, SocketScope, SocketUse};
use crate::record::{Attachment, Pool, PoolSubnet, State, StaticIp, UnclaimedPolicy};
use crate::time::Moment;

/// A secondary address of one of this node's ENIs that may come to be adopted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Stray {
    /// The ENI.
    pub eni: EniId,
    /// Its subnet.
    pub subnet: SubnetId,
    /// The address.
    pub address: Ipv4Addr,
}

/// What of one complete listing of this instance's interfaces may be adopted, if nobody claims it:
/// on an ENI that is the cluster's and that FireCamp is known to be free to use (`usable`), and of
/// a pool that is declared.
pub fn strays(
    listing: &[Interface],
    usable: &BTreeSet<EniId>,
    pools: &[Pool],
    cluster: &ClusterName,
) -> BTreeSet<Stray> {
    let ours = |one: &&Interface| {
        one.cluster.as_deref() == Some(cluster.as_str()) && usable.contains(&one.id)
    };
    let of = |one: &Interface| {
        let stray = |address: &Ipv4Addr| Stray {
            eni: one.id.clone(),
            subnet: one.subnet.clone(),
            address: *address,
        };
        one.addresses.iter().map(stray).collect::<Vec<_>>()
    };
    let all = listing.iter().filter(ours).flat_map(of);
    all.filter(|stray| declared(pools, stray).is_ok()).collect()
}

/// The one pool that has the address, if it is declared to be FireCamp's alone.
fn declared<'a>(
    pools: &'a [Pool],
    stray: &Stray,
) -> Result<(&'a Pool, &'a PoolSubnet), NotAdopted> {
    let entries = pools.iter().flat_map(|pool| pool.subnets.iter().map(move |entry| (pool, entry)));
    let mut holding = entries.filter(|(_, entry)| hands_out(entry, stray.address));
    let (Some((pool, entry)), None) = (holding.next(), holding.next()) else {
        return Err(NotAdopted::NotDeclared);
    };
    let declared = pool.unclaimed == UnclaimedPolicy::Adopt && entry.subnet == stray.subnet;
    if declared { Ok((pool, entry)) } else { Err(NotAdopted::NotDeclared) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sighting {
    since: Moment,
    looks: u32,
}

/// What has been seen without a record so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Adopter {
    seen: BTreeMap<Stray, Sighting>,
}

/// The looks that must agree.
const LOOKS: u32 = 2;
/// So many are due at once: each costs a look at EC2 and three lists of the registry. The rest is
/// due with the next look.
const AT_ONCE: usize = 4;

impl Adopter {
    /// A look has failed: nobody knows what has been there without a break.
    pub fn lost_sight(&mut self) {
        self.seen.clear();
    }

    /// Takes in a complete look at EC2, which was begun at that moment, and of each address whether
    /// it has a record (one whose read failed is not in `recorded`). Names what is due, once: it
    /// begins anew with the next look, whatever comes of it.
    pub fn look(
        &mut self,
        strays: &BTreeSet<Stray>,
        recorded: &BTreeMap<Ipv4Addr, bool>,
        (begun, now): (Moment, Moment),
    ) -> Vec<Stray> {
        let unread = planted(Bug::AdoptOnFailedRead);
        let unclaimed = |stray: &Stray| match recorded.get(&stray.address) {
            Some(there) => !there,
            None => unread,
        };
        self.seen.retain(|stray, _| strays.contains(stray) && unclaimed(stray));
        let mut due = Vec::new();
        for stray in strays.iter().filter(|stray| unclaimed(stray)) {
            let new = Sighting { since: now, looks: 0 };
            let known = self.seen.entry(stray.clone()).or_insert(new);
            known.looks = known.looks.saturating_add(1);
            let seen = known.looks >= LOOKS && begun.since(known.since) >= timing::ADOPT_GRACE;
            if due.len() < AT_ONCE && (seen || planted(Bug::AdoptAtOnce)) {
                due.push(stray.clone());
            }
        }
        self.seen.retain(|stray, _| !due.contains(stray));
        due
    }
}

/// What was read afresh of an address that is due, all of it: where anything could not be read
/// there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Evidence {
    /// This node.
    pub node: NodeName,
    /// Its machine.
    pub instance: InstanceId,
    /// The cluster whose tag the ENI has to carry.
    pub cluster: ClusterName,
    /// Whether there is a record.
    pub recorded: bool,
    /// All pools.
    pub pools: Vec<Pool>,
    /// A member whose claim names the address or asks for it.
    pub claimed: Option<Member>,
    /// Who has it in EC2.
    pub owner: Owner,
    /// What this node's kernel has of it.
    pub kernel: Option<KernelMark>,
    /// Who acted last on it on this node.
    pub lock: Option<LockRecord>,
    /// Somebody has acted on it on this node, and nobody can say who.
    pub torn: bool,
    /// What uses it on this node.
    pub sockets: SocketUse,
    /// The pods of this node that have not ended for good.
    pub pods: BTreeSet<PodUid>,
}

/// Why an address is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum NotAdopted {
    /// There is a record.
    #[error("it has a StaticIP")]
    Recorded,
    /// A claim names it.
    #[error(
        "the claim of {0} names it, and its member does not start while EC2 has it there without a \
         StaticIP: take it out of EC2, or delete the claim"
    )]
    Claimed(Member),
    /// Not exactly one range has it, or the pool does not say so.
    #[error("not exactly one pool has it in this subnet, or that pool's unclaimedPolicy is Report")]
    NotDeclared,
    /// EC2 has it elsewhere by now, or its ENI is not the cluster's.
    #[error("EC2 does not show it as a secondary address of an ENI of the cluster on this node")]
    NotHere,
    /// The kernel of this node has it.
    #[error("the kernel of this node has it: somebody may use it")]
    InKernel,
    /// Somebody holds it by this node's lock.
    #[error("this node's lock says that pod {0} holds it")]
    Held(PodUid),
    /// The lock cannot be read.
    #[error("this node's lock of it cannot be read")]
    Torn,
    /// Whoever had it here is still here.
    #[error("pod {0}, which had it last on this node, is still there")]
    PodLives(PodUid),
    /// It is in use.
    #[error("it is in use on this node: {0}")]
    InUse(SocketUse),
}

/// The record of an adopted address, if nothing speaks against it: parked on its ENI by nobody,
/// without a claim.
pub fn adopt(stray: &Stray, evidence: &Evidence, run: RunId) -> Result<StaticIp, NotAdopted> {
    let (pool, entry) = declared(&evidence.pools, stray)?;
    if evidence.recorded {
        return Err(NotAdopted::Recorded);
    }
    if let Some(member) = evidence.claimed.as_ref().filter(|_| !planted(Bug::AdoptClaimed)) {
        return Err(NotAdopted::Claimed(member.clone()));
    }
    if !is_here(stray, evidence) {
        return Err(NotAdopted::NotHere);
    }
    unused(evidence)?;
    // More than whoever acted on it here: a zombie of theirs is late.
    let epoch = evidence.lock.as_ref().map_or(0, |last| last.holder.epoch.0).saturating_add(1);
    let attachment = Attachment {
        state: State::Parked,
        pod: PodUid::nobody(),
        node: evidence.node.clone(),
        eni: Some(stray.eni.clone()),
        run,
        served: false,
    };
    Ok(StaticIp {
        address: stray.address,
        pool: pool.name.clone(),
        subnet: entry.subnet.clone(),
        cidr: entry.cidr,
        zone: entry.zone.clone(),
        member: Member::nobody(stray.address),
        epoch: Epoch(epoch),
        attachment: Some(attachment),
        reserved_on: Some(stray.eni.clone()),
        unsettled: BTreeSet::new(),
    })
}

fn is_here(stray: &Stray, evidence: &Evidence) -> bool {
    match &evidence.owner {
        Owner::Nobody => false,
        Owner::Eni(eni) => {
            eni.id == stray.eni
                && !eni.primary
                && eni.cluster.as_deref() == Some(evidence.cluster.as_str())
                && eni.instance.as_ref() == Some(&evidence.instance)
        }
    }
}

/// Whether nobody on this node has it, or had it and may still think so.
fn unused(evidence: &Evidence) -> Result<(), NotAdopted> {
    if planted(Bug::AdoptUsed) {
        return Ok(());
    }
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
