//! A VPC, its nodes and a registry in one process under a paused clock: the real runner, the
//! real EC2 client with the real SDK, the strict simulator behind it, kernels and volumes in
//! memory. Every test states what it costs in EC2 calls and ends with the audit.

mod carrier;
mod cluster;
mod member;

pub use carrier::{Carrier, Clockwork, Customs, EPOCH, Fate, Parcel, Service};
pub use cluster::{Cluster, Costs, FIRST, Node};
pub use member::{Pod, Release, attached, failed, released};
