//! What is said about a duty, in the log and as an Event.

use std::fmt;

use firecamp_core::contract::cluster::reason;

use crate::leader::gone::Gone;
use crate::leader::planner::{Duty, Unneeded, Unwanted};

impl Duty {
    /// The reason of the Event that tells of it, once it is done; none for what is only reported
    /// as a status or a record.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Release { why: Gone::NoClaim, .. } => Some(reason::RELEASED_WITHOUT_CLAIM),
            Self::Release { .. } => Some(reason::RELEASED_FOR_NODE),
            Self::DropClaim { why: Unwanted::ScaledDown, .. } => Some(reason::CLAIM_DELETED_SCALED),
            Self::DropClaim { why: Unwanted::SetDeleted, .. } => Some(reason::CLAIM_DELETED_SET),
            Self::Unassign { .. } => Some(reason::UNASSIGNED),
            Self::FreeAddress { .. } => Some(reason::RECLAIMED),
            // Its finalizer keeps it: it is told of once it goes.
            Self::DropAddress { .. }
            | Self::Own { .. }
            | Self::EndWait { .. }
            | Self::TellAddress { .. }
            | Self::TellClaim { .. }
            | Self::TellPool { .. } => None,
        }
    }
}

impl Duty {
    /// What is done, in one stable word.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Release { .. } => "Release",
            Self::Own { .. } => "RecordOwner",
            Self::DropClaim { .. } => "DeleteClaim",
            Self::Unassign { .. } => "Unassign",
            Self::DropAddress { .. } => "DeleteStaticIP",
            Self::FreeAddress { .. } => "FreeStaticIP",
            Self::EndWait { .. }
            | Self::TellAddress { .. }
            | Self::TellClaim { .. }
            | Self::TellPool { .. } => "Report",
        }
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMachine => "EC2 shows no machine that has it on the recorded ENI",
            Self::OutOfService => "it is declared out of service",
            Self::Silent => "it has not answered for long; EC2 keeps the address on its ENI",
            Self::NoClaim => "its claim and its pod are gone",
        })
    }
}

impl fmt::Display for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release { address, why: why @ Gone::NoClaim, .. } => {
                write!(f, "release {address}: {why}")
            }
            Self::Release { address, why, .. } => {
                write!(f, "release {address} for its node, which is gone: {why}")
            }
            Self::Own { member, owner: Some(owner), .. } => {
                let (name, uid) = (&owner.name, &owner.uid);
                write!(f, "record StatefulSet {name} ({uid}) as the owner of claim {member}")
            }
            Self::Own { member, owner: None, .. } => {
                write!(f, "record that no StatefulSet owns claim {member}")
            }
            Self::DropClaim { member, owner, why: Unwanted::ScaledDown, .. } => {
                write!(f, "delete claim {member}: StatefulSet {} was scaled down", owner.name)
            }
            Self::DropClaim { member, owner, why: Unwanted::SetDeleted, .. } => {
                write!(f, "delete claim {member}: StatefulSet {} was deleted", owner.name)
            }
            Self::Unassign { address, why: Unneeded::NoClaim, .. } => {
                write!(f, "take {address} out of EC2: its claim is gone")
            }
            Self::Unassign { address, why: Unneeded::Deleted, .. } => {
                write!(f, "take {address} out of EC2: its StaticIP was deleted")
            }
            Self::FreeAddress { address, .. } => {
                write!(f, "let StaticIP {address} go, which was deleted: it is out of EC2")
            }
            Self::DropAddress { address, .. } => {
                write!(f, "delete StaticIP {address}: its claim is gone and it is out of EC2")
            }
            Self::EndWait { member, .. } => {
                write!(f, "take back that {member} waits for a volume: it has no pod")
            }
            Self::TellAddress { address, .. } => write!(f, "write the status of {address}"),
            Self::TellClaim { member, .. } => write!(f, "write the status of claim {member}"),
            Self::TellPool { pool, .. } => write!(f, "write the status of pool {pool}"),
        }
    }
}
