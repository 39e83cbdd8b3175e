//! What the leader does for the whole cluster, over a strict API server and an EC2
//! that remembers.

mod claim_conditions;
mod crashes;
mod ec2_lists;
mod ec2_unreachable;
pub(super) mod fixture;
mod leases;
mod lifecycle;
mod names;
mod priority;
mod stale_lists;
mod zone_gates;
