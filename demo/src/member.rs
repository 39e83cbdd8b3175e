//! The small programs of the demo that run inside of nodes and of the client.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod start;

pub use server::READY;
