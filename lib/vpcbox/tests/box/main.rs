//! Boxes as they are used: the real binary, real namespaces and real packets. Each test runs as
//! the present user; as root each runs a second time as an ordinary user (uid 65534, by setpriv,
//! without which it fails).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod commands;
mod lifetime;
mod packets;
mod services;
mod support;
