//! From facts to conditions.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be made has failed its test"
)]

mod account;
mod cloud;
mod cluster;
mod enis;
mod fixture;
mod host;
