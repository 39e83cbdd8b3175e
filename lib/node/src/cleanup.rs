//! What of FireCamp's goes from the kernel of a node that members, an agent or a version of
//! FireCamp have left, and what stays: pure, from facts to a plan.
//!
//! Guarantees: only what carries our protocol number in a shape that this version makes is ever
//! planned to go, and nothing whose use is seen or not known. What a later version made stays.
//! Assumption: who executes a step compares its [`Lock`] with the node's once more, under the
//! lock. Caveat: a member without a connection and with a wildcard listener is known by its pod
//! alone, so that without the API server what it holds stays.

mod facts;
mod plan;
mod why;

pub use facts::{Address, Holder, Kernel, Known, Lock, Object, Route, Rule, Seen};
pub use plan::{Kept, Plan, Step, Subject, plan};
pub use why::Why;
