//! The node: the real implementations of the core's ports [`HostNet`] and [`MemberFile`].
//!
//! [`LinuxHost`] uses netlink (rtnetlink and sock_diag) and holds the node-local lock;
//! [`StaticIpFile`] writes the static-IP file; [`volumes`] and [`preflight`] read the facts that
//! `firecamp_node` evaluates. The crate runs no external program (F014).
//!
//! [`HostNet`]: firecamp_core::ports::HostNet
//! [`MemberFile`]: firecamp_core::ports::MemberFile

mod address_tags;
mod assign_times;
mod atomic_replace;
mod cleanup;
mod endpoint_link;
mod eni_links;
mod eni_list_file;
mod error;
mod foreign_rules;
mod kernel;
mod kernel_events;
mod kernel_listing;
mod kernel_snapshot;
mod kernel_tables;
mod linux;
mod lock;
mod netlink;
pub mod parse_netlink_dump;
mod pod_network;
mod policy_routing;
pub mod preflight;
mod static_ip_file;
pub mod volumes;

pub use address_tags::AddressTags;
pub use atomic_replace::replace;
pub use cleanup::{AgentLock, Cleared};
pub use eni_list_file::{EniList, EniListFile, unwanted_enis};
pub use kernel_events::{Monitor, changes};
pub use kernel_listing::Listing;
pub use linux::{HostTimeouts, LinuxHost};
pub use lock::dir::own_directory;
pub use lock::record::{TornRecord, read_record};
pub use pod_network::PodNetworks;
pub use static_ip_file::parse::{ParseError, parse};
pub use static_ip_file::{FileOptions, StaticIpFile};
