//! The FireCamp protocol: attach and release of a member's static IP, as data.
//!
//! Nothing here awaits, reads a clock, draws a random number or does I/O. [`attach::Attach`],
//! [`release::Release`] and [`agent::Execution`] are state machines: each names one
//! [`action::Action`] at a time and receives its [`action::Reply`] with the time of that reply. The
//! binaries, the simulation and the model checker drive these same machines.

pub mod action;
pub mod agent;
pub mod allocate;
pub mod attach;
pub mod choose_interface;
pub mod contract;
pub mod decide;
pub mod endpoint;
pub mod failure;
pub mod ids;
mod kernel_target;
pub mod lock_rule;
pub mod machine;
pub mod managed_interface;
pub mod network_interface;
pub mod node_identity;
pub mod plan;
pub mod ports;
pub mod record;
pub mod release;
mod retry_or_fail;
pub mod shared_texts;
mod short_text;
pub mod step;
pub mod takeover_wait;
pub mod time;
