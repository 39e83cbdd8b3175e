//! The `firecamp` command.
//!
//! What looks at a registry, a cluster or a node, for people and their programs: [`status`],
//! [`node`], [`explain`], [`doctor`], [`bundle`] and [`wait`], over what they share in [`look`].
//! `docs/cli.md` is generated from their help. Those that change something are [`cleanup`] and
//! [`import`].

pub mod args;
pub mod bundle;
pub mod cleanup;
mod dispatch;
pub mod doctor;
pub mod documents;
pub mod explain;
pub mod failure;
pub mod import;
pub mod look;
pub mod node;
mod reasons;
pub mod status;
pub mod wait;

pub use dispatch::main;
