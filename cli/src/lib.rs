//! The `firecamp` command.
//!
//! Read-only commands: [`status`], [`node`], [`explain`], [`doctor`], [`bundle`] and [`wait`].
//! [`service`] and [`task`] manage stateful services. [`cleanup`] changes the node's kernel,
//! [`import`] writes to the registry, and [`uninstall`] empties it. [`verify_ec2`] tries what EC2
//! does. [`info`] names the cluster and an instance. They share [`common`]. `docs/cli.md` is
//! generated from their help.

pub mod args;
pub mod bundle;
pub mod cleanup;
pub mod common;
mod dispatch;
pub mod doctor;
pub mod documents;
pub mod explain;
pub mod failure;
pub mod import;
pub mod info;
pub mod inject;
pub mod node;
mod reasons;
pub mod service;
pub mod status;
pub mod task;
pub mod uninstall;
pub mod verify_ec2;
pub mod wait;

pub use dispatch::main;
