//! Properties of the simulator, whatever is asked of it.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

#[path = "world/client.rs"]
mod client;
#[path = "world/faults.rs"]
mod faults;
#[path = "world/hostile.rs"]
mod hostile;
#[path = "world/interfaces.rs"]
mod interfaces;
#[path = "world/lab.rs"]
mod lab;
#[path = "world/limits.rs"]
mod limits;
#[path = "world/power.rs"]
mod power;
#[path = "world/properties.rs"]
mod properties;
#[path = "world/specs.rs"]
mod specs;
#[path = "world/tags.rs"]
mod tags;
#[path = "world/volumes.rs"]
mod volumes;
