//! Whether this node can carry static addresses: facts in, conditions out.
//!
//! * [`facts`]: the facts about the node, as plain data; an unknown fact stays unknown.
//! * [`gather()`]: reads them from AWS ([`AccountChecks`]) and from the node ([`NodeChecks`]). The
//!   caller adds the facts from the Kubernetes API.
//! * [`judge`](judge()): derives the conditions, without I/O.
//! * [`verdicts`]: which network interfaces FireCamp may use, and who manages the others.
//!
//! `firecamp_host` implements the node's traits, below a root directory that tests choose.
//!
//! Guarantees: a preflight changes nothing in EC2 or on the node; a fact that could not be read
//! gives the status *Unknown*, never *True*. Caveats: EC2 has no dry run of an Assign or an
//! Unassign, so only the first call shows whether they are allowed.

mod condition;
pub mod facts;
mod gather;
pub mod judge;
mod page;
mod ports;
mod reason;

pub use condition::{Condition, Severity, Status, passes, summary};
pub use facts::Facts;
pub use gather::{Ec2Checks, gather};
pub use judge::interfaces::{Manager, Verdict, carriers, has_cluster_tag, verdicts};
pub use judge::judge;
pub use page::table;
pub use ports::{AccountChecks, CloudChecks, KernelChecks, NodeChecks};
pub use reason::{Kind, Reason};
