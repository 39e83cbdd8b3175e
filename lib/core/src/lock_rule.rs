//! The rule of the node-local lock, as data: which process may act on an address in a node's
//! kernel.
//!
//! Guarantees: the holder with the higher epoch wins; a holder that released on this node cannot
//! add again on that epoch; no process removes what another pod holds on the same epoch.
//! Assumptions: the comparison and the kernel's change are one step under the lock, and epochs of
//! one address only grow for as long as the lock's record exists.

use crate::ports::Holder;

/// Whether the pod that a record names still holds the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Hold {
    /// It added the address.
    Held,
    /// It removed the address, which must not be restored.
    Released,
}

/// The last holder that acted on an address on this node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LockRecord {
    /// The holder.
    pub holder: Holder,
    /// What it did.
    pub hold: Hold,
}

impl LockRecord {
    /// Whether `holder` may add the address. It may not for an epoch that was released on this
    /// node.
    pub fn permits_adding(&self, holder: &Holder) -> bool {
        let same = self.holder == *holder && self.hold == Hold::Held;
        self.holder.epoch < holder.epoch || same
    }

    /// Whether `holder` may remove the address.
    pub fn permits_removing(&self, holder: &Holder) -> bool {
        let others = self.holder.pod != holder.pod && self.hold == Hold::Held;
        let newer = self.holder.epoch > holder.epoch;
        let taken = self.holder.epoch == holder.epoch && others;
        !newer && !taken
    }
}
