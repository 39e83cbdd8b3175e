//! Tests against the real kernel in new network namespaces, as any user.
//!
//! A test target with `harness = false` lists its cases and calls [`run`]. Each case is a separate
//! process in a new user, network and mount namespace. So cases run in parallel, are isolated from
//! the machine, and leave nothing behind however they end.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! fn a_new_namespace_has_only_a_loopback() {
//!     assert_eq!(firecamp_testkit::netns::Net::current().links(), ["lo"]);
//! }
//!
//! fn main() -> ExitCode {
//!     firecamp_testkit::netns::run(&[firecamp_testkit::netns::Case {
//!         name: "a_new_namespace_has_only_a_loopback",
//!         run: a_new_namespace_has_only_a_loopback,
//!     }])
//! }
//! ```
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kernel's attributes are non-exhaustive foreign enums"
)]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "test support: a failure here fails the test by panicking"
)]

mod args;
mod dump;
mod harness;
mod net;
mod space;

pub use crate::cases;
pub use harness::{Case, run, run_entering};
pub use net::Net;
pub use space::enter;

/// The kernel's messages, for tests that need all details.
pub mod raw {
    use std::net::{IpAddr, Ipv4Addr};

    pub use rtnetlink::packet_route::address::{
        AddressAttribute, AddressFlags, AddressMessage, AddressScope,
    };

    /// The IPv4 address of a message.
    pub fn local(message: &AddressMessage) -> Option<Ipv4Addr> {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(local)) => Some(*local),
            _other => None,
        })
    }
}

/// Makes the list of cases from `module::{name, name}` groups.
#[macro_export]
macro_rules! cases {
    ($($module:ident :: { $($name:ident),* $(,)? }),* $(,)?) => {
        &[$($($crate::netns::Case { name: stringify!($name), run: $module::$name }),*),*]
    };
}
