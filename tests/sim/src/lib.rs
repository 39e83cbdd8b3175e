//! A VPC, its nodes and a registry in one process under a paused clock: the product's engine and
//! EC2 client with the real SDK, a strict EC2 simulator, and kernels and volumes in memory. The
//! tests assert their number of EC2 calls and end with the audit.

mod carrier;
mod cluster;
mod member;

pub use carrier::{Carrier, Delivery, EPOCH, InFlight, Interceptor, Service, SharedSim};
pub use cluster::{Cluster, Costs, FIRST, Node, VPC};
pub use member::{Pod, Release, attached, failed, released};
