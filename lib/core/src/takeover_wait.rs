//! The takeover wait (or barrier): before its first call to EC2, a claimant waits until the calls
//! of others that could undo its own have taken effect or cannot any more.

use std::collections::BTreeSet;

use crate::contract::timing;
use crate::ids::EniId;
use crate::record::{Mutation, PendingMutation};
use crate::retry_or_fail::Halt;

/// Whether these pending mutations need the wait: an Assign elsewhere, an Unassign here.
pub fn is_needed(pending: &BTreeSet<PendingMutation>, eni: &EniId) -> bool {
    let undoes = |one: &PendingMutation| match one.mutation {
        Mutation::Assign => one.eni != *eni,
        Mutation::Unassign => one.eni == *eni,
    };
    pending.iter().any(undoes)
}

/// The wait, which starts at the answer to the write of our own epoch: from then on no other
/// process is authorised to send a call.
pub(crate) fn begin() -> Halt {
    let text = "calls of an earlier holder that may be in flight (takeover barrier)";
    Halt::Pause(timing::CALL_BOUND, text.to_owned())
}
