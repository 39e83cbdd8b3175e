//! What an agent publishes about its node: `NodeAttachments`, the conditions of the node's static
//! IPs and of its pods' claims, Events, and the node's capacity of the pools' extended resources.
//!
//! * [`facts`]: what the agent knows, as plain data; an unknown part is none.
//! * [`Reports`]: what the other controllers report.
//! * [`PublishController`]: the state machine. It passes the latest facts to the [`Publisher`],
//!   which turns them into one [`Step`] after the other, and sends one request at a time.
//! * [`StatusWriter`]: the writes to the Kubernetes API, as a trait; [`carry_out()`] executes a
//!   step.
//!
//! Guarantees: this is status only; no controller acts on it. An idle node writes nothing: neither
//! a changed message alone, nor an attach in progress, nor a cause that clears within its patience
//! leads to a write. A new process first reads what its predecessor published, so that a restart
//! writes nothing either. Caveats: pending Events are lost with the process.

mod address_debounce;
mod address_status;
mod address_updates;
mod attachments_update;
pub(crate) mod capacity;
mod carry_out;
mod controller;
mod event;
pub mod facts;
mod node_attachments;
mod ports;
mod public_reasons;
mod publisher;
mod reports;
mod request;
mod request_backoff;
mod static_ip_conditions;
mod volume_ready_condition;
mod volume_status;

pub use carry_out::carry_out;
pub use controller::{PublishController, PublishEffect, PublishEvent, PublishTick};
pub use event::{About, Event, Notice, Shortage};
pub use facts::Facts;
pub use ports::{FetchedNode, ObservedStatus, StatusWriter, Subject};
pub use public_reasons::{AddressReason, EventReason};
pub use publisher::Publisher;
pub use reports::Reports;
pub use request::{Done, Step};
pub use volume_ready_condition::VolumeReport;
pub use volume_status::table;
