//! Seeded histories at wire level: the same scenarios, orchestrator and audits as in
//! `firecamp-histories`, with the real runner, the real EC2 client with the real SDK, and the
//! strict simulator behind it, in one process under a paused clock. Every second history uses the
//! registry of a cluster: kube's client, and a strict API server behind it.
//!
//! A process is a task. SIGKILL drops it where it waits; requests in flight still take effect.
//! SIGSTOP stops it while time, EC2 and the registry go on.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: a failure here fails the history; indices come from the scenario"
)]

mod agent;
mod api;
mod fault_injector;
mod fixture;
mod gate;
mod level;
mod orders;
mod processes;
mod sim_state;
mod systems;
mod watched;

use crate::cli::Program;
use crate::history::{self, Report};
use crate::names::Names;
use crate::scenario::Scenario;
use crate::trace::Trace;

/// The program of this level.
pub const WIRE: Program = Program {
    name: "firecamp-wire-histories",
    make: "make sim LEVEL=wire N=1",
    play: run,
    histories: 2_000,
};

/// Runs a scenario at wire level, without adoption: that needs ten minutes of each agent.
pub fn run(scenario: &Scenario, names: &Names, trace: Trace) -> Report {
    let scenario = scenario.for_wire();
    history::play(&scenario, level::Wire::new(&scenario, names, trace))
}
