//! One pass: what to ask, and what to do.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::agent::Duty as Errand;
use firecamp_core::ids::{ClusterName, Epoch, Member, NodeName, PoolName, SubnetId};
use firecamp_core::time::Moment;
use firecamp_registry::api::{Condition, StaticIPPoolStatus, StaticIPStatus};
use ipnet::Ipv4Net;

use crate::leader::bound::Bindings;
use crate::leader::gone::{Gone, Nodes};
use crate::leader::pools;
use crate::leader::reclaim::Orphans;
use crate::leader::retention::Claims;
use crate::leader::view::{Answers, Identity, Owner, Questions, View};
use crate::leader::waits::Waits;

/// Who plans, and what it knows of EC2 by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Site {
    /// The agent's node.
    pub node: NodeName,
    /// The cluster whose ENIs may be overridden.
    pub cluster: ClusterName,
    /// The blocks of the subnets that its machine has an ENI in.
    pub subnets: BTreeMap<SubnetId, Ipv4Net>,
}

/// Why a member is wanted no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Unwanted {
    /// Its StatefulSet was scaled so that it lacks this ordinal.
    ScaledDown,
    /// Its StatefulSet was deleted.
    SetDeleted,
}

/// Why nobody is to have an address any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Unneeded {
    /// No claim names it.
    NoClaim,
    /// Somebody deleted its object, which cannot be taken back.
    Deleted,
}

/// One thing to do. Whoever does it reads afresh what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Duty {
    /// Release an address for a node that is gone.
    Release {
        /// The address.
        address: Ipv4Addr,
        /// The core's duty.
        errand: Errand,
        /// Why its node counts as gone.
        why: Gone,
    },
    /// Record in a claim which StatefulSet controls its member's pod.
    Own {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
        /// None if no StatefulSet does.
        owner: Option<Owner>,
    },
    /// Delete a claim.
    DropClaim {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
        /// The StatefulSet on record.
        owner: Owner,
        /// Why its member is wanted no more.
        why: Unwanted,
    },
    /// Take an address that nobody is to have any more out of EC2.
    Unassign {
        /// The address.
        address: Ipv4Addr,
        /// The epoch of its record.
        epoch: Epoch,
        /// Why nobody is to have it.
        why: Unneeded,
    },
    /// Delete the object of an address that is out of EC2.
    DropAddress {
        /// The address.
        address: Ipv4Addr,
        /// As it was read.
        id: Identity,
    },
    /// Let the object of an address go that somebody deleted and that is out of EC2.
    FreeAddress {
        /// The address.
        address: Ipv4Addr,
        /// As it was read.
        id: Identity,
        /// The finalizers of others, which stay.
        rest: Vec<String>,
    },
    /// Report what there is to say about an address.
    TellAddress {
        /// The address.
        address: Ipv4Addr,
        /// As it was read.
        id: Identity,
        /// The whole status; times that are missing are the moment of writing.
        status: StaticIPStatus,
    },
    /// Take back that a member waits for a volume: it has no pod.
    EndWait {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
    },
    /// Report whether a claim has its address.
    TellClaim {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
        /// All of its conditions; times that are missing are the moment of writing.
        conditions: Vec<Condition>,
    },
    /// Report what there is to say about a pool.
    TellPool {
        /// The pool.
        pool: PoolName,
        /// As it was read.
        id: Identity,
        /// The whole status; times that are missing are the moment of writing.
        status: StaticIPPoolStatus,
    },
}

/// What the holder of the Lease remembers from pass to pass.
#[derive(Debug, Clone, Default)]
pub struct Planner {
    nodes: Nodes,
    claims: Claims,
    waits: Waits,
    orphans: Orphans,
    bindings: Bindings,
}

impl Planner {
    /// What has to be asked about this view before it can be planned.
    /// What a large cluster has much of is asked about and done in turns.
    pub fn ask(&mut self, view: &View, site: &Site) -> Questions {
        let mut questions = Questions::default();
        if is_plausible(view, site) {
            self.nodes.ask(view, site, &mut questions);
            self.claims.ask(view, &mut questions);
            self.waits.ask(view, &mut questions);
        }
        questions
    }

    /// What there is to do, the most urgent first.
    pub fn plan(&mut self, view: &View, site: &Site, answers: &Answers, now: Moment) -> Vec<Duty> {
        if !is_plausible(view, site) {
            return Vec::new();
        }
        let mut duties = self.nodes.plan(view, site, answers, now);
        duties.extend(self.claims.plan(view, answers, now));
        duties.extend(self.waits.plan(view, answers, now));
        duties.extend(pools::plan(view, site));
        duties.extend(self.orphans.plan(view, now));
        let told = self.bindings.plan(view, &duties, now);
        duties.extend(told);
        duties
    }
}

/// A cluster without the node that this runs on is not the one that was asked for.
fn is_plausible(view: &View, site: &Site) -> bool {
    view.nodes.contains_key(&site.node)
}
