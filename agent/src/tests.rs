//! The agent over a strict API server in this process, a kernel in memory and a clock that jumps:
//! what it does when the registry tells little, late, or what was true before.

mod adopt;
mod away;
mod cloud;
mod ec2;
mod handover;
mod partition;
mod release;
mod seen;
mod stale;
mod steward;
mod told;
mod trouble;
mod volumes;
mod world;
