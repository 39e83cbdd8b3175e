//! Tools for tests with a real Kubernetes: its binaries, keys and kubeconfigs for a server, and raw
//! requests.

#![expect(clippy::indexing_slicing, reason = "a missing JSON field reads as null")]

mod api;
mod assets;
mod flags;
mod keys;

pub use api::{Answer, Api, Event, Watch};
pub use assets::Assets;
pub use flags::{apiserver_flags, etcd_flags};
pub use keys::{ADMIN, Keys, Server, User};

/// A free port of the loopback interface.
pub fn free_port() -> Result<u16, String> {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    bound
        .map(|address| address.port())
        .map_err(|wrong| format!("failed to find a free port: {wrong}"))
}
