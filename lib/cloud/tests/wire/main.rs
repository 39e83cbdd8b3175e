//! `AwsCloud` against scripted servers on loopback: what the SDK makes of every way in which
//! EC2 and the metadata service may answer, byte by byte.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod chain;
mod credentials;
mod describe;
mod endings;
mod imds;
mod metadata;
mod server;
mod setup;
