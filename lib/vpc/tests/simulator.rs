//! Properties of the simulator, with handwritten and random requests.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "tests fail by panicking"
)]

#[path = "simulator/client.rs"]
mod client;
#[path = "simulator/faults.rs"]
mod faults;
#[path = "simulator/hostile.rs"]
mod hostile;
#[path = "simulator/interfaces.rs"]
mod interfaces;
#[path = "simulator/limits.rs"]
mod limits;
#[path = "simulator/policies.rs"]
mod policies;
#[path = "simulator/power.rs"]
mod power;
#[path = "simulator/properties.rs"]
mod properties;
#[path = "simulator/specs.rs"]
mod specs;
#[path = "simulator/tags.rs"]
mod tags;
#[path = "simulator/test_vpc.rs"]
mod test_vpc;
#[path = "simulator/volumes.rs"]
mod volumes;
