//! Why a record of the original is not imported.

use std::net::Ipv4Addr;

use firecamp_core::contract::cluster::reason;
use firecamp_core::ids::{Member, PoolName, Zone};
use thiserror::Error;

/// Why a record of the original is left alone. The texts say what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The ConfigMap is not what the original writes.
    #[error("it cannot be read: {0}")]
    RecordUnreadable(String),
    /// Two services have a member of this name.
    #[error("two services have a member of this name: remove the record of the one that is gone")]
    MemberTwice,
    /// The member's address has no record of its own.
    #[error("the address has no record of its own: nothing says which network interface has it")]
    AddressRecordMissing,
    /// Both records are of different services.
    #[error("the address's record is of another service than the member's")]
    ServiceDiffers,
    /// Both records, or the record and the pool, are of different zones.
    #[error("the records are of zones {0} and {1}")]
    ZoneDiffers(Zone, Zone),
    /// Two members name one address.
    #[error("{0} names the same address")]
    NamedTwice(Member),
    /// No pool has it.
    #[error("no StaticIPPool has it in a range: add it to one")]
    OutsidePools,
    /// More pools than one have it.
    #[error("StaticIPPools {0} and {1} both have it: take it out of one")]
    PoolsOverlap(PoolName, PoolName),
    /// Its StaticIP is of somebody else.
    #[error("its StaticIP is of {0}")]
    AddressOfOther(Member),
    /// Another claim names it.
    #[error("the claim of {0} names it or asks for it")]
    ClaimedByOther(Member),
    /// The member has another address.
    #[error("the member's claim has another address: {0}")]
    ClaimHasOther(Ipv4Addr),
    /// A person wants another address for it.
    #[error("the member's claim asks for another address: {0}")]
    ClaimWantsOther(Ipv4Addr),
    /// The objects that are there are of another pool.
    #[error("what is there of it is of StaticIPPool {0}, which does not have it in a range")]
    PoolDiffers(PoolName),
    /// Its pod may be moving it now.
    #[error("its pod is starting and may be moving it now: run this again once it runs")]
    PodStarting,
    /// Nobody knows whether its pod is moving it now.
    #[error("its pod could not be asked: {0}")]
    PodNotKnown(String),
    /// A member's record that cannot be read may name it.
    #[error("no member's record that can be read names it, and one that cannot may")]
    MayBeNamed,
    /// What nobody claims leaves EC2 in this pool.
    #[error(
        "no member names it, and StaticIPPool {0} takes out of EC2 what nobody claims: set its \
         reclaimPolicy to Retain first"
    )]
    PoolReclaims(PoolName),
}

impl Refusal {
    /// One word that never changes its meaning.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::RecordUnreadable(_) => "RecordUnreadable",
            Self::MemberTwice => "MemberTwice",
            Self::AddressRecordMissing => "AddressRecordMissing",
            Self::ServiceDiffers => "ServiceDiffers",
            Self::ZoneDiffers(..) => "ZoneDiffers",
            Self::NamedTwice(_) => "NamedTwice",
            Self::OutsidePools => "OutsidePools",
            Self::PoolsOverlap(..) => "PoolsOverlap",
            Self::AddressOfOther(_) => reason::ADDRESS_OF_OTHER,
            Self::ClaimedByOther(_) => "ClaimedByOther",
            Self::ClaimHasOther(_) => "ClaimHasOther",
            Self::ClaimWantsOther(_) => "ClaimWantsOther",
            Self::PoolDiffers(_) => "PoolDiffers",
            Self::PodStarting => "PodStarting",
            Self::PodNotKnown(_) => "PodNotKnown",
            Self::MayBeNamed => "MayBeNamed",
            Self::PoolReclaims(_) => "PoolReclaims",
        }
    }

    /// Whether it may be gone with the next run, and nobody has to do anything.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::PodNotKnown(_))
    }
}
