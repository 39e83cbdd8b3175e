//! What tests on a real Kubernetes share: where its binaries are, keys and kubeconfigs for a
//! server, and raw requests to it.

#![expect(clippy::indexing_slicing, reason = "what a JSON value lacks reads as null")]

mod api;
mod assets;
mod keys;

pub use api::{Answer, Api, Event, Watch};
pub use assets::Assets;
pub use keys::{ADMIN, Keys, Server, User};

/// A port of the loopback interface that nobody listens on.
pub fn free_port() -> Result<u16, String> {
    let bound = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    bound.map(|address| address.port()).map_err(|wrong| format!("a free port: {wrong}"))
}
