//! What attach holds after each of its parts, and the check that it still holds it.

use super::input::AttachInput;
use super::messages::holder_text;
use crate::contract::exit::Exit;
use crate::decide::Take;
use crate::ids::{Epoch, SetName};
use crate::machine::Path;
use crate::node_identity::Eni;
use crate::record::{StaticIp, Stored};
use crate::retry_or_fail::Halt;
use crate::time::Moment;

/// A member with its record, and the ENI that will carry the address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Bound {
    pub(super) stored: Stored<StaticIp>,
    /// The StatefulSet that the claim is bound to.
    pub(super) set: Option<SetName>,
    pub(super) eni: Eni,
    /// The epoch of this node's lock record: a new epoch is higher.
    pub(super) floor: Epoch,
    /// This node sent an Assign for it so recently that IMDS may still report its effect.
    pub(super) recently_assigned: bool,
    pub(super) look_up: LookUp,
}

/// The owner look-up of a record that was last held on another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum LookUp {
    /// Not started.
    None,
    /// Started at this moment.
    Begun(Moment),
    /// The input has it, and it is of this version of the record.
    Known,
}

/// An epoch that this run acquired.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Acquired {
    /// The record as we wrote or last read it.
    pub(super) stored: Stored<StaticIp>,
    /// The record as it was before the take.
    pub(super) before: StaticIp,
    pub(super) eni: Eni,
    pub(super) take: Take,
    /// A moment before the request was sent that last confirmed our epoch.
    pub(super) authorised: Moment,
    /// When the answer to the write of the epoch came.
    pub(super) taken: Moment,
    /// IMDS listed the address on this ENI before any call of ours, or may still list it for an
    /// earlier call: a listed address proves nothing.
    pub(super) listed: bool,
    /// This node sent an Assign for it so recently that IMDS may still report its effect.
    pub(super) recently_assigned: bool,
    pub(super) look_up: LookUp,
}

/// The address is on the ENI and the data path has switched.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Assigned {
    pub(super) held: Acquired,
    pub(super) path: Path,
    /// Until when a call of ours may still take effect.
    pub(super) unanswered: Option<Moment>,
}

/// The fresh record, if this run still holds it.
pub(super) fn still_ours(
    held: &Acquired,
    input: &AttachInput,
    stored: Option<Stored<StaticIp>>,
) -> Result<Stored<StaticIp>, Halt> {
    let address = held.stored.object.address;
    let Some(stored) = stored else {
        let text = format!("StaticIP {address} does not exist any more");
        return Err(Halt::Fail(Exit::RegistryInvalid, text));
    };
    // An agent that found the pod gone may have parked the very epoch of this run.
    let ours = stored.object.held_by(&input.pod, held.stored.object.epoch)
        && stored.object.attachment.as_ref().is_some_and(|a| a.run == input.run);
    if ours {
        return Ok(stored);
    }
    let (epoch, held) = (stored.object.epoch, held.stored.object.epoch);
    if epoch == held {
        let text = format!("epoch {held} of {address} was released for pod {}", input.pod);
        return Err(Halt::Superseded(text));
    }
    let holder = holder_text(&stored.object);
    let text = format!("{holder} took epoch {epoch} of {address}; this run held epoch {held}");
    Err(Halt::Superseded(text))
}
