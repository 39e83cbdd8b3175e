//! The texts of operations in logs and Events.

use std::fmt;

use firecamp_core::contract::cluster::reason;

use crate::leader::lost_nodes::ReleaseReason;
use crate::leader::planner::{DeletionReason, Operation, UnassignReason};

impl Operation {
    /// The reason of the Event that is emitted once the operation is done; none for operations that
    /// only write a status or a record.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Release { why: ReleaseReason::NoClaim, .. } => {
                Some(reason::RELEASED_WITHOUT_CLAIM)
            }
            Self::Release { .. } => Some(reason::RELEASED_FOR_NODE),
            Self::DeleteClaim { why: DeletionReason::ScaledDown, .. } => {
                Some(reason::CLAIM_DELETED_SCALED)
            }
            Self::DeleteClaim { why: DeletionReason::SetDeleted, .. } => {
                Some(reason::CLAIM_DELETED_SET)
            }
            Self::Unassign { .. } => Some(reason::UNASSIGNED),
            Self::RemoveFinalizer { .. } => Some(reason::RECLAIMED),
            // The Event is emitted when the finalizer is removed.
            Self::DeleteStaticIp { .. }
            | Self::RecordOwner { .. }
            | Self::ClearVolumeWait { .. }
            | Self::UpdateStaticIpStatus { .. }
            | Self::UpdateClaimStatus { .. }
            | Self::UpdatePoolStatus { .. } => None,
        }
    }
}

impl Operation {
    /// The action of the Event: a stable word.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Release { .. } => "Release",
            Self::RecordOwner { .. } => "RecordOwner",
            Self::DeleteClaim { .. } => "DeleteClaim",
            Self::Unassign { .. } => "Unassign",
            Self::DeleteStaticIp { .. } => "DeleteStaticIP",
            Self::RemoveFinalizer { .. } => "RemoveFinalizer",
            Self::ClearVolumeWait { .. }
            | Self::UpdateStaticIpStatus { .. }
            | Self::UpdateClaimStatus { .. }
            | Self::UpdatePoolStatus { .. } => "UpdateStatus",
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoInstance => "EC2 shows no instance that has the address on its recorded ENI",
            Self::OutOfService => "the node is declared out of service",
            Self::Unresponsive => {
                "the node has been unready for a long time, and EC2 still has the address on its \
                 ENI"
            }
            Self::NoClaim => "its claim and its pod are gone",
        })
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release { address, why: why @ ReleaseReason::NoClaim, .. } => {
                write!(f, "release {address}: {why}")
            }
            Self::Release { address, why, .. } => {
                write!(f, "release {address} for its lost node: {why}")
            }
            Self::RecordOwner { member, owner: Some(owner), .. } => {
                let (name, uid) = (&owner.name, &owner.uid);
                write!(f, "record StatefulSet {name} ({uid}) as the owner of claim {member}")
            }
            Self::RecordOwner { member, owner: None, .. } => {
                write!(f, "record that no StatefulSet owns claim {member}")
            }
            Self::DeleteClaim { member, owner, why: DeletionReason::ScaledDown, .. } => {
                write!(f, "delete claim {member}: StatefulSet {} was scaled down", owner.name)
            }
            Self::DeleteClaim { member, owner, why: DeletionReason::SetDeleted, .. } => {
                write!(f, "delete claim {member}: StatefulSet {} was deleted", owner.name)
            }
            Self::Unassign { address, why: UnassignReason::NoClaim, .. } => {
                write!(f, "unassign {address} in EC2: its claim is gone")
            }
            Self::Unassign { address, why: UnassignReason::Deleted, .. } => {
                write!(f, "unassign {address} in EC2: its StaticIP was deleted")
            }
            Self::RemoveFinalizer { address, .. } => {
                write!(
                    f,
                    "remove the finalizer of the deleted StaticIP {address}: EC2 has unassigned it"
                )
            }
            Self::DeleteStaticIp { address, .. } => {
                write!(f, "delete StaticIP {address}: its claim is gone and EC2 has unassigned it")
            }
            Self::ClearVolumeWait { member, .. } => {
                write!(f, "clear the volume wait of claim {member}: the member has no pod")
            }
            Self::UpdateStaticIpStatus { address, .. } => {
                write!(f, "update the status of StaticIP {address}")
            }
            Self::UpdateClaimStatus { member, .. } => {
                write!(f, "update the status of claim {member}")
            }
            Self::UpdatePoolStatus { pool, .. } => write!(f, "update the status of pool {pool}"),
        }
    }
}
