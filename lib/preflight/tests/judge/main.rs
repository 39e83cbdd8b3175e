//! From facts to conditions.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be made has failed its test"
)]

mod cloud;
mod enis;
mod fixture;
mod host;
