//! Is this node fit to carry static addresses? Facts in, conditions out.
//!
//! * [`facts`]: what was found out about the node, as plain data; what was not is not guessed.
//! * [`gather`]: finds it out, from AWS ([`AccountChecks`]) and from the node ([`NodeChecks`]);
//!   what the cluster says is put in by who has read it.
//! * [`judge`](judge()): the conditions that follow, pure.
//! * [`verdicts`]: which network interfaces FireCamp may use, and who has the others.
//!
//! `firecamp_host` has the node's side for real, below a root directory that a test may choose.
//!
//! Guarantees: nothing is changed, neither in EC2 nor on the node; a fact that could not be found
//! out gives the status *Unknown*, never *True*. Caveats: EC2 offers no dry run of an Assign or an
//! Unassign, so whether these are allowed is known once one has been tried.

mod condition;
pub mod facts;
pub mod judge;
mod outside;
mod page;
mod reason;

pub use condition::{Condition, Status, Weight, passes, summary};
pub use facts::Facts;
pub use judge::enis::{Manager, Verdict, verdicts};
pub use judge::judge;
pub use outside::{AccountChecks, Ask, CloudChecks, KernelChecks, NodeChecks, gather};
pub use page::table;
pub use reason::{Kind, Reason};
