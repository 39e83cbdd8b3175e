//! Seeded histories: randomized simulation tests. The protocol's own state machines run in a
//! simulated cluster, in virtual time.
//!
//! One seed reproduces one history exactly. A [`scenario`] is plain data: what happens to a
//! cluster. The orchestrator in [`cluster`] simulates pods, kubelets and controllers. A [`level`]
//! runs the processes and the outside systems. Everything above the level is the same whether the
//! machines are stepped directly or, with the feature `wire`, the real runner and the real SDK run
//! against the strict simulator (`wire`).
//!
//! In the same cluster, [`crashes`] injects a crash at every boundary of a catalogue of scenarios.
//! [`volumes`] has the histories of one node's volumes.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: a failure here fails the history; indices come from the scenario"
)]

pub mod audit;
pub mod cli;
pub mod cluster;
pub mod coverage;
pub mod crash_injection;
pub mod crashes;
pub mod history;
pub mod inputs;
pub mod leader;
pub mod level;
pub mod model;
pub mod names;
pub mod observation;
pub mod progress;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod shrink;
pub mod simulated_cluster;
pub mod sweep;
pub mod tape;
pub mod trace;
pub mod volumes;
pub mod watch;
#[cfg(feature = "wire")]
pub mod wire;
