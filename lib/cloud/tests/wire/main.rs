//! `AwsCloud` against scripted servers on loopback: how the SDK reports every kind of response of
//! EC2 and the metadata service, byte by byte.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod assignments;
mod capacity;
mod chain;
mod credentials;
mod describe;
mod describe_node;
mod imds;
mod injected_faults;
mod interfaces;
mod listing;
mod metadata;
mod outcomes;
mod reservations;
mod server;
mod setup;
mod two_nodes;
