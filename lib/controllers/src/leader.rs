//! The operations that the leader, the agent that holds a Lease, performs for the whole cluster, as
//! data. There is no central controller: the leader observes the whole cluster periodically, and
//! this module plans what to do.
//!
//! Guarantees: a plan depends only on the observations of this and earlier passes. An object that
//! could not be read never counts as absent. An operation that removes something (a claim, an
//! address, an attachment) is planned only if its cause was observed in two passes and for a grace
//! period. The executor reads the object again and names the version that it read, so two leaders
//! at once, or a late leader, break nothing. Assumptions: A1, as for the core. Caveats: after a
//! change of the leader all grace periods start over.

mod bound_condition;
mod lease;
mod lost_nodes;
#[cfg(feature = "serde")]
mod map_as_pairs;
mod operation_text;
mod persistent_findings;
mod planner;
mod pools;
mod ports;
mod reachability;
mod reclaim;
mod retention;
mod round_robin;
pub mod timing;
mod view;
mod volume_waits;
mod zones;

pub use lease::{Candidate, LeaseWrite, ObservedLease, Terms};
pub use lost_nodes::ReleaseReason;
pub use planner::{DeletionReason, Operation, Planner, Site, UnassignReason};
pub use pools::{Usage, usage};
pub use ports::{Change, Cluster};
pub use reachability::{Call, Ec2Reachability};
pub use reclaim::is_orphan;
pub use retention::deletion_reason;
pub use view::{
    Identity, NodeReadiness, ObservedClaim, ObservedNode, ObservedPod, ObservedPool,
    ObservedStaticIp, Owner, Queries, QueryResults, SetName, StatefulSet, Uid, View,
};
pub use volume_waits::without_volume_wait;
