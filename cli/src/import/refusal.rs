//! Why a record of the original is not imported.

use std::net::Ipv4Addr;

use firecamp_core::contract::cluster::reason;
use firecamp_core::ids::{Member, PoolName, Zone};
use thiserror::Error;

/// Why a record of the original is not imported. The texts include what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The ConfigMap does not have the format of the original.
    #[error("the ConfigMap cannot be parsed: {0}")]
    RecordUnreadable(String),
    /// Two services have a member of this name.
    #[error("two services have a member with this name: delete the record of the deleted service")]
    MemberDuplicated,
    /// The member's address has no record of its own.
    #[error("the address has no record, so its network interface is unknown")]
    AddressRecordMissing,
    /// The records name different services.
    #[error("the records of the address and of the member name different services")]
    ServiceMismatch,
    /// The records, or the record and the pool, name different zones.
    #[error("the original's records and the pool must name the same zone; they name {0} and {1}")]
    ZoneMismatch(Zone, Zone),
    /// Two members name one address.
    #[error("member {0} has the same address")]
    AddressDuplicated(Member),
    /// No pool contains it.
    #[error("no range of a StaticIPPool contains the address: add it to one")]
    NotInAnyPool,
    /// More than one pool contains it.
    #[error("StaticIPPools {0} and {1} both contain the address: remove it from one")]
    PoolsOverlap(PoolName, PoolName),
    /// Its StaticIP belongs to another member.
    #[error("its StaticIP belongs to {0}")]
    AddressOfAnotherMember(Member),
    /// Another claim names or requests it.
    #[error("the claim of {0} names or requests the address")]
    ClaimedByAnotherMember(Member),
    /// The member has another address.
    #[error("the member's claim has another address: {0}")]
    ClaimHasAnotherAddress(Ipv4Addr),
    /// The member's claim requests another address.
    #[error("the member's claim requests another address: {0}")]
    ClaimRequestsAnotherAddress(Ipv4Addr),
    /// The existing objects name another pool.
    #[error("its existing objects name StaticIPPool {0}, whose ranges do not contain the address")]
    PoolMismatch(PoolName),
    /// Its pod may be moving it.
    #[error("its pod is starting and may be moving it: run the command again once the pod runs")]
    PodStarting,
    /// It is unknown whether its pod is moving it.
    #[error("its pod could not be read: {0}")]
    PodNotKnown(String),
    /// An unreadable member's record may name it.
    #[error("no readable member's record names it, but an unreadable one may")]
    PossiblyInUse,
    /// The pool releases addresses without a claim from EC2.
    #[error(
        "no member names it, and StaticIPPool {0} releases orphaned addresses from EC2: set its \
         reclaimPolicy to Retain first"
    )]
    PoolReclaims(PoolName),
}

impl Refusal {
    /// The stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RecordUnreadable(_) => "RecordUnreadable",
            Self::MemberDuplicated => "MemberDuplicated",
            Self::AddressRecordMissing => "AddressRecordMissing",
            Self::ServiceMismatch => "ServiceMismatch",
            Self::ZoneMismatch(..) => "ZoneMismatch",
            Self::AddressDuplicated(_) => "AddressDuplicated",
            Self::NotInAnyPool => "NotInAnyPool",
            Self::PoolsOverlap(..) => "PoolsOverlap",
            Self::AddressOfAnotherMember(_) => reason::ADDRESS_OF_ANOTHER_MEMBER,
            Self::ClaimedByAnotherMember(_) => "ClaimedByAnotherMember",
            Self::ClaimHasAnotherAddress(_) => "ClaimHasAnotherAddress",
            Self::ClaimRequestsAnotherAddress(_) => "ClaimRequestsAnotherAddress",
            Self::PoolMismatch(_) => "PoolMismatch",
            Self::PodStarting => "PodStarting",
            Self::PodNotKnown(_) => "PodNotKnown",
            Self::PossiblyInUse => "PossiblyInUse",
            Self::PoolReclaims(_) => "PoolReclaims",
        }
    }

    /// Whether a later run may succeed without any other action.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::PodNotKnown(_))
    }
}
