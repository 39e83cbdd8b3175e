//! A VPC in a box: the strict simulator of `firecamp-vpc` with real sockets, real network
//! namespaces and real packets, on one machine, as an ordinary user. `docs/vpcbox.md` explains
//! how it is used and how it works.
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
mod outer;
mod plant;
pub mod protocol;
mod server;
mod supervise;
mod sysctl;
pub mod testing;

pub use firecamp_vpc as vpc;
