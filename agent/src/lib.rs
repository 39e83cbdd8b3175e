//! Maintains the static IP addresses of a node: observe, plan, apply, report.
//!
//! Slow reads and operations run as tasks beside the loop. `agent::Agent::tick` or an iteration
//! starts a task, the task ends with a `work_result::WorkResult`, and the loop stores the result in
//! `state::Observed`, from which it plans.

mod adopt;
mod agent;
mod agent_files;
mod executions;
mod http;
mod lazy_registry;
mod leader;
mod link_up;
mod metered_cloud;
mod metrics_server;
mod outage;
mod partition;
mod ports;
mod preflight;
mod publish;
mod source;
mod start;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod volumes;
mod work_result;

pub use start::main;
pub use status::table::page as metrics_page;
