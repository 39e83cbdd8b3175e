//! The texts of operations in logs and Events.

use std::fmt;

use firecamp_core::contract::cluster::reason;
use firecamp_core::ids::Zone;

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
            Self::Unassign { why: UnassignReason::InterfaceRemoved, .. } => {
                Some(reason::UNASSIGNED_FROM_INTERFACE)
            }
            Self::Unassign { .. } => Some(reason::UNASSIGNED),
            Self::RemoveFinalizer { .. } => Some(reason::RECLAIMED),
            Self::DrainInterface(_) => Some(reason::INTERFACE_DRAINING),
            Self::DeleteInterface(_) => Some(reason::INTERFACE_DELETED),
            Self::RemoveZoneGate { lacks_node: true, .. } => Some(reason::ZONE_NOT_READY),
            Self::ReportZoneConflict { .. } => Some(reason::ZONE_CONFLICT),
            // The Event is emitted when the finalizer is removed.
            Self::DeleteStaticIp { .. }
            | Self::DetachInterface { .. }
            | Self::RecordOwner { .. }
            | Self::RemoveZoneGate { lacks_node: false, .. }
            | Self::ClearVolumeWait { .. }
            | Self::UpdateStaticIpStatus { .. }
            | Self::UpdateClaimStatus { .. }
            | Self::UpdatePoolStatus { .. } => None,
        }
    }
}

impl Operation {
    /// The text of the Event.
    pub fn note(&self) -> String {
        if let Self::ReportZoneConflict { conflict, .. } = self {
            return conflict.to_string();
        }
        format!("done: {self}")
    }

    /// The action of the Event: a stable word.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Release { .. } => "Release",
            Self::RecordOwner { .. } => "RecordOwner",
            Self::DeleteClaim { .. } => "DeleteClaim",
            Self::Unassign { .. } => "Unassign",
            Self::DeleteStaticIp { .. } => "DeleteStaticIP",
            Self::RemoveFinalizer { .. } => "RemoveFinalizer",
            Self::DrainInterface(_) => "DrainInterface",
            Self::DetachInterface { .. } => "DetachInterface",
            Self::DeleteInterface(_) => "DeleteInterface",
            Self::RemoveZoneGate { .. } => "RemoveZoneGate",
            Self::ReportZoneConflict { .. } => "KeepZoneGate",
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

impl Operation {
    fn fmt_interface(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DrainInterface(stored) => write!(
                f,
                "set NodeInterface {} to Draining: instance {} is gone",
                stored.name, stored.record.instance
            ),
            Self::DetachInterface { interface, .. } => {
                write!(f, "detach the interface of NodeInterface {}", interface.name)
            }
            Self::DeleteInterface(stored) => {
                write!(f, "delete the interface of NodeInterface {}, then the record", stored.name)
            }
            Self::Release { .. }
            | Self::RecordOwner { .. }
            | Self::DeleteClaim { .. }
            | Self::Unassign { .. }
            | Self::DeleteStaticIp { .. }
            | Self::RemoveFinalizer { .. }
            | Self::RemoveZoneGate { .. }
            | Self::ReportZoneConflict { .. }
            | Self::ClearVolumeWait { .. }
            | Self::UpdateStaticIpStatus { .. }
            | Self::UpdateClaimStatus { .. }
            | Self::UpdatePoolStatus { .. } => Ok(()),
        }
    }
}

impl fmt::Display for UnassignReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoClaim => "its claim is gone",
            Self::Deleted => "its StaticIP was deleted",
            Self::InterfaceRemoved => "its interface is being removed",
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
            Self::DrainInterface(_) | Self::DetachInterface { .. } | Self::DeleteInterface(_) => {
                self.fmt_interface(f)
            }
            Self::Unassign { address, why, .. } => write!(f, "unassign {address} in EC2: {why}"),
            Self::RemoveFinalizer { address, .. } => {
                write!(
                    f,
                    "remove the finalizer of the deleted StaticIP {address}: EC2 has unassigned it"
                )
            }
            Self::DeleteStaticIp { address, .. } => {
                write!(f, "delete StaticIP {address}: its claim is gone and EC2 has unassigned it")
            }
            Self::RemoveZoneGate { member, zone, lacks_node, .. } => {
                write!(f, "remove the zone gate of pod {member}: ")?;
                f.write_str(&gate_text(zone.as_ref(), *lacks_node))
            }
            Self::ReportZoneConflict { member, conflict, .. } => {
                write!(f, "report on pod {member}: {conflict}")
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

/// The result of the removal of a pod's zone gate.
fn gate_text(zone: Option<&Zone>, lacks_node: bool) -> String {
    match (zone, lacks_node) {
        (None, _) => "its member's address has no zone yet".to_owned(),
        (Some(zone), false) => format!("its node selector has zone {zone}"),
        (Some(zone), true) => format!("its node selector has zone {zone}, where no Node is ready"),
    }
}
