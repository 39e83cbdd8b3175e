//! Which addresses and ENIs attach refuses: ENIs whose addresses something else manages, and
//! addresses outside a pool's ranges.

use std::net::Ipv4Addr;

use super::input::AttachInput;
use crate::allocate::{hands_out, is_assignable};
use crate::contract::exit::Exit;
use crate::ids::PoolName;
use crate::node_identity::Eni;
use crate::record::{Pool, PoolSubnet, StaticIp};
use crate::retry_or_fail::Halt;

/// Whether the member may get a new address of the pool. Its claim may have changed since the
/// check.
pub(super) fn may_allocate_from(input: &AttachInput, pool: &PoolName) -> Result<(), Halt> {
    if !input.pool_is_approved || input.pool.as_ref() == Some(pool) {
        return Ok(());
    }
    let text = format!("the claim of {} has changed to pool {pool} since the check", input.member);
    Err(Halt::Fail(Exit::NamespaceNotAllowed, text))
}

/// Whether the ENI may carry the address. An address that EC2 already has there, without a pending
/// mutation, stays: it needs no call, and a working member keeps running.
pub(super) fn may_carry(
    input: &AttachInput,
    eni: &Eni,
    record: Option<&StaticIp>,
) -> Result<(), Halt> {
    let Some(why) = input.unwanted.why_not(&eni.id) else { return Ok(()) };
    if record.is_some_and(|record| record.settled_on(&eni.id)) {
        return Ok(());
    }
    let text =
        format!("FireCamp must not use {} (device index {}): {why}", eni.id, eni.device_index);
    Err(Halt::Fail(Exit::NodeUnsuitable, text))
}

/// A pool allocates only addresses in its ranges, even if a claim names the address: others may be
/// another pool's.
pub(super) fn may_hand_out(
    pool: &Pool,
    subnet: &PoolSubnet,
    address: Ipv4Addr,
) -> Result<(), Halt> {
    let text = if !is_assignable(subnet.cidr, address) {
        format!(
            "{address} cannot be assigned in {}: it is outside this block, or EC2 reserves it (the \
             first four and the last)",
            subnet.cidr
        )
    } else if hands_out(subnet, address) {
        return Ok(());
    } else {
        format!(
            "{address} is in no range of pool {} for {}: add a range, or request another address",
            pool.name, subnet.subnet
        )
    };
    Err(Halt::Fail(Exit::AddressUnavailable, text))
}
