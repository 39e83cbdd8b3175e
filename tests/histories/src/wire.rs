//! The seeded histories on the wire: the same scenarios, director and audits as those of
//! `firecamp-histories`, with the real runner, the real EC2 client with the real SDK, and the
//! strict simulator behind it, in one process under a paused clock. In every second one the
//! registry is that of a cluster: kube's client, and a strict API server behind it.
//!
//! A process is a task. SIGKILL drops it where it waits: what it has sent takes effect all the
//! same. SIGSTOP stops it while time, EC2 and the registry go on.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test support: what fails here fails the history, and indices are its own"
)]

mod agent;
mod api;
mod customs;
mod gate;
mod level;
mod orders;
mod processes;
mod site;
mod systems;
mod town;
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

/// Plays a scenario on the wire, where nobody adopts: that takes ten minutes of each agent.
pub fn run(scenario: &Scenario, names: &Names, trace: Trace) -> Report {
    let scenario = scenario.without_strays();
    history::play(&scenario, level::Wire::new(&scenario, names, trace))
}
