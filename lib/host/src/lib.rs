//! The node itself: the real implementations of the core's [`HostNet`] and [`MemberFile`].
//!
//! [`LinuxHost`] speaks netlink (rtnetlink and sock_diag) and holds the node-local lock;
//! [`StaticIpFile`] writes the static-IP file; [`volumes`] and [`preflight`] read the facts that
//! `firecamp_node` judges. No external program is ever run (F014).
//!
//! [`HostNet`]: firecamp_core::outside::HostNet
//! [`MemberFile`]: firecamp_core::outside::MemberFile

mod barred;
mod cleanup;
pub mod dump;
mod enis;
mod error;
mod file;
mod foreign;
mod kernel;
mod linux;
mod listing;
mod lock;
mod monitor;
mod netlink;
mod note;
pub mod preflight;
mod replace;
mod routing;
mod survey;
mod tables;
pub mod volumes;

pub use barred::{Barred, BarredFile};
pub use cleanup::{AgentPlace, Cleared};
pub use enis::LinkSeen;
pub use file::parse::{ParseError, parse};
pub use file::{FileOptions, StaticIpFile};
pub use linux::{AddressTags, HostTimeouts, LinuxHost};
pub use listing::Listing;
pub use lock::dir::own_directory;
pub use lock::record::{TornRecord, read_record};
pub use monitor::{Change, Monitor, changes};
pub use replace::replace;
pub use survey::Survey;
