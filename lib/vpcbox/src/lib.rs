//! A VPC in a box: the strict simulator of `firecamp-vpc` with real sockets, network namespaces and
//! packets, on one machine, as an ordinary user. `docs/development/vpcbox.md` describes its use and
//! its design.
//!
//! Programs use [`client::Client`] (inside or outside a box) and [`testing::RunningBox`]; the
//! binary is [`cli::main`].

mod boot_record;
pub mod cli;
pub mod client;
pub mod clock;
pub mod failure;
mod first_process;
mod namespace;
mod namespace_sysctls;
mod netlink;
mod network;
mod node_namespaces;
pub mod pod;
pub mod protocol;
mod real_time_simulator;
pub mod recorded_calls;
mod run_command;
mod server;
mod supervise;
pub mod testing;

pub use firecamp_vpc as vpc;
