//! Plans which of FireCamp's objects to remove from the kernel of a node that FireCamp has left,
//! and which to keep: from facts to a plan, without I/O.
//!
//! Guarantees: a plan removes only objects with our protocol number in a form that this version
//! creates, and none whose use is observed or unknown. Objects of a later version stay. Assumption:
//! the executor of a step compares its [`Lock`] with the node's again, under the lock. Caveat: a
//! member without connections and with a wildcard listener is recognized only by its pod, so
//! without the API server its objects stay.

mod facts;
mod plan;
mod reason;

pub use facts::{Address, Holder, Kernel, Known, Lock, Object, Observation, Route, Rule};
pub use plan::{Kept, Plan, Step, Subject, plan};
pub use reason::Why;
