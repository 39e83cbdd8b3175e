//! Seeded histories: the protocol's own machines in a simulated cluster, in virtual time.
//!
//! One seed is one history, to the last bit. A [`scenario`] says what happens to a cluster, as
//! pure data. The director in [`cluster`] plays pods, kubelets and controllers. A
//! [`level`] runs processes and outside systems. Everything above the level is the same whether
//! machines are stepped directly or, with the feature `wire`, the real runner and the real SDK run
//! against the strict simulator (`wire`).
//!
//! Over the same cluster, [`crashes`] crashes at every boundary of a catalogue of scenarios.
//! [`volumes`] has the histories of one node's volumes.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: what fails here fails the history, and indices are its own"
)]

pub mod audit;
pub mod cli;
pub mod cluster;
pub mod crashes;
pub mod history;
pub mod inputs;
pub mod level;
pub mod model;
pub mod names;
pub mod probe;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod shrink;
pub mod sight;
pub mod strike;
pub mod sweep;
pub mod tape;
pub mod trace;
pub mod volumes;
pub mod watch;
#[cfg(feature = "wire")]
pub mod wire;
pub mod world;
