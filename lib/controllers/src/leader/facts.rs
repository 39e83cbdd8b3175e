//! What an operation needs to know from the cache. None of it authorises a change.

use std::net::Ipv4Addr;

use firecamp_core::ids::Member;
use firecamp_core::record::Pool;
use firecamp_registry::api::ClaimRetentionPolicy;

use super::{Operation, View};

/// Facts from the cache at the start of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The address of the operation. Events about a claim refer to its StaticIP.
    pub address: Option<Ipv4Addr>,
    /// The member of that address.
    pub member: Option<Member>,
    /// The pool of the address or of the claim.
    pub pool: Option<Pool>,
    /// What the pool does with a claim whose member is not needed any more.
    pub retention: ClaimRetentionPolicy,
}

impl Facts {
    pub(super) fn of(operation: &Operation, view: &View) -> Self {
        let claim = member_of(operation).and_then(|member| view.claims.get(member)?.as_ref());
        let address = address_of(operation).or_else(|| claim?.claim.address);
        let record = address.and_then(|address| view.addresses.get(&address)?.as_ref());
        let record = record.map(|seen| &seen.record);
        let pool = claim.map(|seen| &seen.claim.pool).or(record.map(|record| &record.pool));
        let pool = pool.and_then(|name| view.pool(name));
        Self {
            address,
            member: record.map(|record| record.member.clone()),
            pool: pool.map(|seen| seen.pool.clone()),
            retention: pool.map(|seen| seen.retention).unwrap_or_default(),
        }
    }
}

fn address_of(operation: &Operation) -> Option<Ipv4Addr> {
    match operation {
        Operation::Release { address, .. }
        | Operation::Unassign { address, .. }
        | Operation::DeleteStaticIp { address, .. }
        | Operation::RemoveFinalizer { address, .. }
        | Operation::UpdateStaticIpStatus { address, .. } => Some(*address),
        Operation::RemoveZoneGate { address, .. } => *address,
        Operation::ReportZoneConflict { conflict, .. } => Some(conflict.address),
        Operation::RecordOwner { .. }
        | Operation::DeleteClaim { .. }
        | Operation::ClearVolumeWait { .. }
        | Operation::UpdateClaimStatus { .. }
        | Operation::DrainInterface(_)
        | Operation::DetachInterface { .. }
        | Operation::DeleteInterface(_)
        | Operation::UpdatePoolStatus { .. } => None,
    }
}

/// The member whose claim the operation concerns.
fn member_of(operation: &Operation) -> Option<&Member> {
    match operation {
        Operation::RecordOwner { member, .. } | Operation::DeleteClaim { member, .. } => {
            Some(member)
        }
        Operation::Release { .. }
        | Operation::Unassign { .. }
        | Operation::DeleteStaticIp { .. }
        | Operation::RemoveFinalizer { .. }
        | Operation::RemoveZoneGate { .. }
        | Operation::ReportZoneConflict { .. }
        | Operation::ClearVolumeWait { .. }
        | Operation::UpdateStaticIpStatus { .. }
        | Operation::UpdateClaimStatus { .. }
        | Operation::DrainInterface(_)
        | Operation::DetachInterface { .. }
        | Operation::DeleteInterface(_)
        | Operation::UpdatePoolStatus { .. } => None,
    }
}
