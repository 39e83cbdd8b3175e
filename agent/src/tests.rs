//! The agent over a strict API server in this process, a kernel in memory and a clock that jumps:
//! what it does when the registry tells little, late, or what was true before.

mod adopt;
mod api_server_outage;
pub(crate) mod asking;
mod ec2;
mod ec2_failures;
mod endpoint;
mod evict;
mod handover;
pub(crate) mod harness;
mod hostile_clients;
mod instance;
mod interfaces;
mod leader;
mod look_ahead;
mod metrics;
mod own_network;
mod partition;
mod release;
mod stale_watches;
mod status;
mod volumes;
