//! ENIs that may not carry an address of ours: something else gives addresses to them.

use super::AttachInput;
use crate::contract::exit::Exit;
use crate::machine::Halt;
use crate::node::Eni;
use crate::record::StaticIp;

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
