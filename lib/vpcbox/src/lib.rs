//! A VPC in a box: the strict simulator of `firecamp-vpc` with real sockets, network namespaces and
//! packets, on one machine, as an ordinary user. `docs/development/vpcbox.md` describes its use and
//! its design.
//!
//! Programs use [`client::Client`] (inside or outside a box) and [`testing::RunningBox`]; the
//! binary is [`cli::main`].

mod boot;
pub mod cli;
pub mod client;
pub mod clock;
mod driver;
pub mod failure;
mod holder;
mod init;
mod namespace;
mod netlink;
mod network;
mod outer;
pub mod protocol;
mod server;
mod supervise;
mod sysctl;
pub mod testing;

pub use firecamp_vpc as vpc;
