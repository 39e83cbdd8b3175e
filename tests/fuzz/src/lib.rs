//! The bodies of the fuzz targets: each takes any bytes and panics if a guarantee is violated. They
//! are ordinary functions, so `cargo test` compiles them and runs every file of the corpus.

#![expect(clippy::expect_used, clippy::panic, reason = "a violated guarantee ends a fuzz target")]

mod carrier;
mod changes;
mod draw;
mod ec2;
mod endpoint_request;
mod endpoint_response;
mod file_registry;
mod flags;
mod imds;
mod netlink;
mod static_ip_file;
mod texts;
mod yaml;

pub use changes::Changes;
pub use ec2::ec2;
pub use endpoint_request::endpoint_request;
pub use endpoint_response::endpoint_response;
pub use file_registry::file_registry;
pub use flags::flags;
pub use imds::imds;
pub use netlink::netlink;
pub use static_ip_file::static_ip_file;
pub use texts::texts;
pub use yaml::yaml;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its binary, its corpus and its function.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
}

/// All fuzz targets.
pub const TARGETS: [Target; 10] = [
    Target { name: "ec2", run: ec2 },
    Target { name: "endpoint_request", run: endpoint_request },
    Target { name: "endpoint_response", run: endpoint_response },
    Target { name: "file_registry", run: file_registry },
    Target { name: "flags", run: flags },
    Target { name: "imds", run: imds },
    Target { name: "netlink", run: netlink },
    Target { name: "static_ip_file", run: static_ip_file },
    Target { name: "texts", run: texts },
    Target { name: "yaml", run: yaml },
];
