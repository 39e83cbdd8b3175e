//! What one agent, the holder of a Lease, does for the whole cluster: which duties there are, as
//! data. There is no central controller; whoever holds the Lease looks at everything once in a
//! while, and this says what follows from it.
//!
//! Guarantees: a plan follows from what was seen and remembered and nothing else. What could not
//! be read is never taken for absent. Whatever loses something (a claim, an address, a hold on an
//! address) has been so in two passes and for a time, and is done only by who reads it afresh and
//! names the version that it read; so two holders at once, or a holder that comes late, break
//! nothing. Assumptions: A1, as for the core. Caveats: after a change of the holder all times
//! begin anew.

mod bound;
mod gone;
mod hearing;
mod lease;
mod outside;
#[cfg(feature = "serde")]
mod pairs;
mod planner;
mod pools;
mod reclaim;
mod retention;
mod suspects;
mod tell;
pub mod timing;
mod turns;
mod view;
mod waits;
mod zones;

pub use gone::Gone;
pub use hearing::{Call, Hearing};
pub use lease::{Candidate, LeaseSeen, LeaseWrite, Terms};
pub use outside::{Change, Cluster};
pub use planner::{Duty, Planner, Site, Unneeded, Unwanted};
pub use pools::{Usage, usage};
pub use reclaim::is_orphan;
pub use retention::unwanted;
pub use view::{
    AddressSeen, Answers, ClaimSeen, Identity, NodeLife, NodeSeen, Owner, PodSeen, PoolSeen,
    Questions, SetName, StatefulSet, Uid, View,
};
pub use waits::without_wait;
