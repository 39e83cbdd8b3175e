//! `AwsCloud` against scripted servers on loopback: what the SDK makes of every way in which
//! EC2 and the metadata service may answer, byte by byte.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod box_of_two;
mod chain;
mod credentials;
mod describe;
mod endings;
mod exchanges;
mod imds;
mod looks;
mod metadata;
mod reservations;
mod room;
mod server;
mod setup;
mod troubles;
