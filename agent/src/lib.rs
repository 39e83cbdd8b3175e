//! Maintains the static IP addresses of a node: observe, plan, apply, report.
//!
//! `firecamp_controllers` decides. `runner` passes events to a controller and performs its effects;
//! slow reads and operations run as tasks beside it. One file connects each controller with the
//! outside systems: `agent` that of the node's addresses (`ports` has its tasks, and `report`
//! writes its log lines and metrics), `volumes` that of the volumes, `publish` that of the status,
//! `leader` that of the whole cluster.

mod adopt;
mod agent;
mod agent_files;
mod agent_lock;
mod by_address;
mod endpoint;
mod execute;
mod http;
mod interfaces;
mod kernel;
mod kube_status;
mod leader;
mod metrics_server;
mod observed_cloud;
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
