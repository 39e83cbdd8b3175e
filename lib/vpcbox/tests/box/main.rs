//! End-to-end tests of boxes: the real binary, namespaces and packets. Each test runs as the
//! current user; as root it runs again as an unprivileged user (uid 65534, by setpriv, without
//! which it fails).

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
