//! The checks and plans of one node: facts in, conditions and plans out, without I/O. `lib/host`
//! reads the facts from the kernel and the node's files, `lib/cloud` reads them from EC2.
//!
//! * [`preflight`]: whether this node can carry static addresses.
//! * [`volumes`]: the node's volumes in EC2, the kernel and Kubernetes, and their problems.
//! * [`kernel`]: what the kernel shows and reports, as data.
//! * [`cleanup`]: which of FireCamp's objects a clean-up removes from the kernel.

pub mod cleanup;
pub mod kernel;
pub mod preflight;
pub mod volumes;
