//! Properties of the simulator, whatever is asked of it.
#![expect(
    clippy::unwrap_used,
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
#[path = "world/properties.rs"]
mod properties;
#[path = "world/specs.rs"]
mod specs;
