//! What may not be handed out: to an ENI to which something else gives addresses, and from
//! outside a pool's ranges.

use std::net::Ipv4Addr;

use super::AttachInput;
use crate::allocate::{hands_out, is_assignable};
use crate::contract::exit::Exit;
use crate::machine::Halt;
use crate::node::Eni;
use crate::record::{Pool, PoolSubnet, StaticIp};

/// Whether the address may go to the ENI. What EC2 has there already, with no call for it under
/// way, stays: that needs no call, and a member that works is not stopped over it.
pub(super) fn may_carry(
    input: &AttachInput,
    eni: &Eni,
    record: Option<&StaticIp>,
) -> Result<(), Halt> {
    let Some(why) = input.barred.get(&eni.id) else { return Ok(()) };
    if record.is_some_and(|record| record.settled_on(&eni.id)) {
        return Ok(());
    }
    let text = format!(
        "{} (device index {}) may not carry addresses of FireCamp: {why}",
        eni.id, eni.device_index
    );
    Err(Halt::Fail(Exit::NodeUnsuitable, text))
}

/// A pool gives out what is in its ranges, also where a claim names the address: what is beside
/// them may be another pool's.
pub(super) fn may_hand_out(
    pool: &Pool,
    subnet: &PoolSubnet,
    address: Ipv4Addr,
) -> Result<(), Halt> {
    let text = if !is_assignable(subnet.cidr, address) {
        format!("{address} cannot be assigned in {}", subnet.cidr)
    } else if hands_out(subnet, address) {
        return Ok(());
    } else {
        format!(
            "{address} is in no range that pool {} has in {}: add one, or ask for another address",
            pool.name, subnet.subnet
        )
    };
    Err(Halt::Fail(Exit::AddressUnavailable, text))
}
