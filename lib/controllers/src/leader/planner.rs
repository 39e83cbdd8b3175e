//! One pass of the leader: which queries to run, and which operations follow.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use firecamp_core::agent::Operation as NodeOperation;
use firecamp_core::ids::{ClusterName, Epoch, Member, NodeName, PoolName, SubnetId, Uid, Zone};
use firecamp_core::managed_interface::StoredInterface;
use firecamp_core::time::Moment;
use firecamp_registry::api::{AddressPhase, StaticIPPoolStatus};
use ipnet::Ipv4Net;

use crate::leader::bound_condition::Bindings;
use crate::leader::lost_nodes::{Nodes, ReleaseReason};
use crate::leader::pools;
use crate::leader::reclaim::Orphans;
use crate::leader::remove_interfaces::InterfaceRemoval;
use crate::leader::retention::Claims;
use crate::leader::seen_conditions::ConditionChange;
use crate::leader::view::{Identity, Owner, Queries, QueryResults, View};
use crate::leader::volume_waits::VolumeWaits;
use crate::leader::zone_gates::{ZoneConflict, ZoneGates};

/// The leader's own node, and what it knows about EC2 itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Site {
    /// The node of the leader.
    pub node: NodeName,
    /// The cluster, from whose ENIs addresses may be moved.
    pub cluster: ClusterName,
    /// The CIDR blocks of the subnets in which its instance has an ENI.
    pub subnets: BTreeMap<SubnetId, Ipv4Net>,
}

/// Why a claim is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum DeletionReason {
    /// Its StatefulSet was scaled down below this ordinal.
    ScaledDown,
    /// Its StatefulSet was deleted.
    SetDeleted,
}

/// Why an address is unassigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum UnassignReason {
    /// No claim names it.
    NoClaim,
    /// Its StaticIP was deleted, which cannot be undone.
    Deleted,
    /// Its interface is being removed, and a reservation keeps it for its pool.
    InterfaceRemoved,
}

/// One operation. The executor reads the object again before it acts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Operation {
    /// Release an address in place of its node's agent.
    Release {
        /// The address.
        address: Ipv4Addr,
        /// The core's operation.
        node_operation: NodeOperation,
        /// Why the leader releases it.
        why: ReleaseReason,
    },
    /// Record in a claim the StatefulSet that controls its member's pod.
    RecordOwner {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
        /// The StatefulSet; none if no StatefulSet controls the pod.
        owner: Option<Owner>,
    },
    /// Delete a claim.
    DeleteClaim {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
        /// The StatefulSet on record.
        owner: Owner,
        /// Why it is deleted.
        why: DeletionReason,
    },
    /// Unassign an address that no member needs any more.
    Unassign {
        /// The address.
        address: Ipv4Addr,
        /// The epoch of its record.
        epoch: Epoch,
        /// Why it is unassigned.
        why: UnassignReason,
    },
    /// Delete the StaticIP of an unassigned address.
    DeleteStaticIp {
        /// The address.
        address: Ipv4Addr,
        /// As it was read.
        id: Identity,
    },
    /// Remove FireCamp's finalizer from a deleted StaticIP whose address is unassigned.
    RemoveFinalizer {
        /// The address.
        address: Ipv4Addr,
        /// As it was read.
        id: Identity,
        /// The other finalizers, which stay.
        rest: Vec<String>,
    },
    /// Remove FireCamp's scheduling gate from a pod, and add the zone of its member's address to
    /// its node selector.
    RemoveZoneGate {
        /// The member.
        member: Member,
        /// The pod, as it was read.
        id: Identity,
        /// The other scheduling gates, which stay.
        rest: Vec<String>,
        /// The address that the member's claim names or requests.
        address: Option<Ipv4Addr>,
        /// The zone of the address, if it is known.
        zone: Option<Zone>,
        /// The zone has no ready Node, which is reported.
        lacks_node: bool,
    },
    /// Report why a pod keeps FireCamp's scheduling gate.
    ReportZoneConflict {
        /// The member.
        member: Member,
        /// The UID of the pod.
        pod: Uid,
        /// The reason.
        conflict: ZoneConflict,
    },
    /// Update the status of a StaticIP.
    UpdateStaticIpStatus {
        /// The address.
        address: Ipv4Addr,
        /// As it was read.
        id: Identity,
        /// Its phase after that.
        phase: Option<AddressPhase>,
        /// What changes of its conditions.
        change: ConditionChange,
    },
    /// Remove the condition that the member waits for a volume: it has no pod.
    ClearVolumeWait {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
    },
    /// Update the conditions of a claim.
    UpdateClaimStatus {
        /// The claim.
        member: Member,
        /// As it was read.
        id: Identity,
        /// What changes of them.
        change: ConditionChange,
    },
    /// Set the record of an interface to Draining.
    DrainInterface(StoredInterface),
    /// Detach an interface that no StaticIP names.
    DetachInterface {
        /// The interface.
        interface: StoredInterface,
        /// Its attachment (`eni-attach-…`).
        attachment: String,
    },
    /// Delete an interface that is detached and has no addresses, then its record.
    DeleteInterface(StoredInterface),
    /// Update the status of a pool.
    UpdatePoolStatus {
        /// The pool.
        pool: PoolName,
        /// As it was read.
        id: Identity,
        /// The whole status; a missing time is set when it is written.
        status: StaticIPPoolStatus,
    },
}

/// The leader's state from pass to pass.
#[derive(Debug, Clone, Default)]
pub struct Planner {
    nodes: Nodes,
    claims: Claims,
    waits: VolumeWaits,
    orphans: Orphans,
    bindings: Bindings,
    interfaces: InterfaceRemoval,
    zone_gates: ZoneGates,
}

impl Planner {
    /// The queries that must run before [`Self::plan`]. In a large cluster each pass covers a batch
    /// of the objects, round-robin.
    pub fn ask(&mut self, view: &View, site: &Site) -> Queries {
        let mut questions = Queries::default();
        if is_plausible(view, site) {
            self.zone_gates.ask(view, &mut questions);
            self.nodes.ask(view, site, &mut questions);
            self.claims.ask(view, &mut questions);
            self.waits.ask(view, &mut questions);
            self.interfaces.ask(view, &mut questions);
        }
        questions
    }

    /// The queries that must run before [`Self::plan_gates`].
    pub fn ask_gates(&self, view: &View, site: &Site) -> Queries {
        let mut questions = Queries::default();
        if is_plausible(view, site) {
            self.zone_gates.ask(view, &mut questions);
        }
        questions
    }

    /// The operations on gated pods, which must not wait for a whole pass.
    pub fn plan_gates(
        &mut self,
        view: &View,
        site: &Site,
        answers: &QueryResults,
        now: Moment,
    ) -> Vec<Operation> {
        if is_plausible(view, site) { self.zone_gates.plan(view, answers, now) } else { Vec::new() }
    }

    /// The operations to perform, the most urgent first.
    pub fn plan(
        &mut self,
        view: &View,
        site: &Site,
        answers: &QueryResults,
        now: Moment,
    ) -> Vec<Operation> {
        if !is_plausible(view, site) {
            return Vec::new();
        }
        let mut operations = self.zone_gates.plan(view, answers, now);
        operations.extend(self.nodes.plan(view, site, answers, now));
        operations.extend(self.claims.plan(view, answers, now));
        operations.extend(self.waits.plan(view, answers, now));
        operations.extend(pools::plan(view, site));
        operations.extend(self.orphans.plan(view, now));
        let updates = self.bindings.plan(view, &operations, now);
        operations.extend(updates);
        // Last: after the loss of a zone there are many, and each takes long.
        operations.extend(self.interfaces.plan(view, answers, now));
        operations
    }
}

/// A view without the leader's own node is not this cluster's.
fn is_plausible(view: &View, site: &Site) -> bool {
    view.nodes.contains_key(&site.node)
}
