//! Maintains the static IP addresses of a node: observe, plan, apply, report.
//!
//! `firecamp_controllers` decides. `runner` passes events to a controller and performs its effects:
//! `agent` and `leader` connect theirs with the outside systems, of which slow reads and operations
//! run as tasks beside the controller (`ports`), and `report` writes log lines and metrics.

mod adopt;
mod agent;
mod agent_files;
mod agent_lock;
mod http;
mod lazy_registry;
mod leader;
mod metered_cloud;
mod metrics_server;
mod outage;
mod partition;
mod ports;
mod publish;
mod report;
mod runner;
mod source;
mod start;
mod status;
#[cfg(test)]
mod tests;
mod volumes;

pub use start::main;
pub use status::table::page as metrics_page;
