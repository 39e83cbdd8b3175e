//! Judges one node: facts in, verdicts and plans out, without I/O. `lib/host` reads the facts that
//! the kernel and the node's files have, `lib/cloud` those of EC2.
//!
//! * [`preflight`]: is this node fit to carry static addresses?
//! * [`volumes`]: the node's volumes, as EC2, the kernel and Kubernetes show them; what is wrong?
//! * [`cleanup`]: what of FireCamp's goes from the node's kernel, and what stays.

pub mod cleanup;
pub mod preflight;
pub mod volumes;
