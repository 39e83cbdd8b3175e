//! The node: the real implementations of the core's ports [`HostNet`] and [`MemberFile`].
//!
//! [`LinuxHost`] uses netlink (rtnetlink and sock_diag) and holds the node-local lock;
//! [`StaticIpFile`] writes the static-IP file; [`volumes`] and [`preflight`] read the facts that
//! `firecamp_node` evaluates. The crate runs no external program (F014).
//!
//! [`HostNet`]: firecamp_core::ports::HostNet
//! [`MemberFile`]: firecamp_core::ports::MemberFile

mod assign_times;
mod cleanup;
pub mod dump;
mod eni_links;
mod error;
mod excluded;
mod foreign_rules;
mod kernel;
mod kernel_snapshot;
mod linux;
mod listing;
mod lock;
mod monitor;
mod netlink;
pub mod preflight;
mod replace;
mod routing;
mod static_ip_file;
mod tables;
pub mod volumes;

pub use cleanup::{AgentLock, Cleared};
pub use excluded::{ExcludedEnis, ExcludedEnisFile};
pub use linux::{AddressTags, HostTimeouts, LinuxHost};
pub use listing::Listing;
pub use lock::dir::own_directory;
pub use lock::record::{TornRecord, read_record};
pub use monitor::{Monitor, changes};
pub use replace::replace;
pub use static_ip_file::parse::{ParseError, parse};
pub use static_ip_file::{FileOptions, StaticIpFile};
