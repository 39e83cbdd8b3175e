//! The FireCamp protocol: attach and release of a member's static IP, as data.
//!
//! Nothing here awaits, reads a clock, draws a random number or does I/O. [`attach::Attach`],
//! [`release::Release`] and [`agent::Errand`] are state machines: they name one [`action::Action`]
//! at a time and are told its [`action::Reply`] and the moment. The real binaries, the simulation
//! and the model checker drive these same machines.

pub mod action;
pub mod agent;
pub mod allocate;
pub mod attach;
pub mod bug;
pub mod canonical;
pub mod contract;
pub mod decide;
pub mod failure;
pub mod ids;
pub mod interface;
pub mod lock;
pub mod machine;
pub mod node;
pub mod outside;
pub mod plan;
pub mod record;
pub mod release;
pub mod time;
