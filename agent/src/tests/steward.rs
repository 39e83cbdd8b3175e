//! What the holder of the Lease does for the whole cluster, over a strict API server and an EC2
//! that remembers.

mod bound;
pub(super) mod city;
mod crowd;
mod deaf;
mod ec2;
mod killed;
mod leases;
mod lives;
mod stale;
