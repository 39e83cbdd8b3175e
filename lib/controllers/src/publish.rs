//! What an agent tells the cluster of its node: `NodeAttachments`, conditions of the static IPs
//! that are here and of the claims whose pods are, Events, and the node's capacity of the extended
//! resource.
//!
//! * [`facts`]: what the agent knows, as plain data; what it does not know is none.
//! * [`Publisher`]: from facts to one [`Step`] after the other, a state machine without clock,
//!   chance and I/O.
//! * [`Board`]: the API, as far as it is written to here, as a trait; [`carry_out`] does a step.
//!
//! Guarantees: nothing decides by what is published. A node on which nothing happens writes
//! nothing: a text that changes alone, an attach that is under way and a cause that comes and goes
//! within its patience change nothing. A process that begins reads first what its predecessor
//! published, so that a restart writes nothing either. Caveats: Events are lost with the process.

mod address;
mod apply;
mod claim;
mod event;
pub mod facts;
mod node;
mod outside;
mod publisher;
mod reason;
mod retry;
mod room;
mod static_ip;
mod steady;
mod step;
mod volume;

pub use apply::carry_out;
pub use claim::Saying;
pub use event::{About, Event, Notice};
pub use facts::Facts;
pub use outside::{Board, Learned, Reported, Subject};
pub use publisher::Publisher;
pub use reason::{AddressReason, EventReason};
pub use step::{Done, Step};
pub use volume::table;
