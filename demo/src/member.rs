//! The small programs of the demo that run on nodes and on the client.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod start;

pub use server::READY;
