//! The small programs of the demo that run on nodes and on the client.

pub(crate) mod client;
mod drop_privileges;
pub(crate) mod record_start_time;
pub(crate) mod server;

pub use server::READY;
