//! Processes as tasks that run the real runner.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster;
use crate::inputs;
use crate::level::{Role, Spawn};
use crate::names::ProcessId;
use crate::scenario::StopKind;
use firecamp_core::attach::Attach;
use firecamp_core::machine::Machine;
use firecamp_core::release::Release;
use firecamp_core::time::Moment;
use firecamp_engine::{Ended, Rng, Run, Signal};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::wire::agent;
use crate::wire::gate::Gated;
use crate::wire::sim_state::{Shared, Slot};
use crate::wire::systems;
use crate::wire::watched::Watched;

/// Starts tasks.
pub(crate) type Starter<'a> =
    &'a dyn Fn(std::pin::Pin<Box<dyn Future<Output = ()>>>) -> AbortHandle;

/// Starts a process of the orchestrator.
pub(crate) fn spawn(shared: &Shared, now: Moment, spawn: Spawn, start: Starter<'_>) {
    let slot = {
        let mut sim = shared.sim();
        let slot = sim.begin(now, spawn, None);
        debug_assert_eq!(sim.slots.len(), spawn.process.at(), "ids come in order");
        sim.slots.push(slot);
        slot
    };
    match spawn.role {
        Role::Init => {
            let (input, stop) = {
                let sim = shared.sim();
                let input = inputs::attach(&sim.scenario, &sim.names, spawn, slot.0);
                (input, sim.processes[slot.at()].token.clone())
            };
            begin(shared, slot, start, Signal::Interrupt(stop), |now| Attach::new(input, now));
        }
        Role::Stop(kind, grace) => {
            let (input, stop) = {
                let sim = shared.sim();
                let input = inputs::release(&sim.names, (spawn, slot.0), kind, grace);
                (input, sim.processes[slot.at()].token.clone())
            };
            let signal = match kind {
                StopKind::Sidecar => Signal::Stop(stop),
                StopKind::Hook => Signal::Interrupt(stop),
            };
            begin(shared, slot, start, signal, |now| Release::new(input, now));
        }
        Role::Agent => {
            let work = agent::watch(shared.clone(), slot);
            launch(shared, slot, start, work);
        }
    }
}

/// Runs a machine in a task of its own.
pub(crate) fn begin<M: Machine + 'static>(
    shared: &Shared,
    slot: Slot,
    start: Starter<'_>,
    signal: Signal,
    make: impl FnOnce(Moment) -> M + 'static,
) {
    let (first, member, rng) = {
        let mut sim = shared.sim();
        let process = sim.process(slot);
        let first = process.rng.micros(500, 20_000);
        let rng = Rng::seeded(process.rng.bits());
        let member = process.spawn.member;
        (first, sim.names.member(member).clone(), rng)
    };
    let mine = shared.clone();
    let work = async move {
        sleep(first).await;
        let systems = systems::of(&mine, slot);
        let run = Run { member, pool: None, signal, rng, watcher: None };
        let make = |now| Watched::new(make(now), &mine, slot);
        let ended = Box::pin(firecamp_engine::run(make, &systems, &run)).await;
        mine.with(|sim, _, now| sim.finish(now, slot, reported(ended)));
        mine.ending.notify_one();
    };
    launch(shared, slot, start, work);
}

fn reported(ended: Ended) -> cluster::Ended {
    match ended {
        Ended::Outcome(outcome) => cluster::Ended::Outcome(outcome),
        Ended::Interrupted => cluster::Ended::Interrupted,
    }
}

fn launch(
    shared: &Shared,
    slot: Slot,
    start: Starter<'_>,
    work: impl Future<Output = ()> + 'static,
) {
    let gate = Arc::clone(&shared.sim().process(slot).gate);
    let task = start(Box::pin(Gated::new(gate, work)));
    shared.sim().process(slot).task = Some(task);
}

/// SIGTERM.
pub(crate) fn signal(shared: &Shared, now: Moment, process: ProcessId) {
    let mut sim = shared.sim();
    if let Some(slot) = sim.alive(process) {
        let process = sim.process(slot);
        process.signalled.get_or_insert(now);
        process.token.cancel();
    }
}

/// SIGSTOP.
pub(crate) fn freeze(shared: &Shared, now: Moment, process: ProcessId) {
    let mut sim = shared.sim();
    let Some(slot) = sim.alive(process) else { return };
    for slot in sim.family(slot) {
        let process = sim.process(slot);
        process.frozen.get_or_insert(now);
        process.gate.freeze();
    }
}

/// SIGCONT.
pub(crate) fn thaw(shared: &Shared, now: Moment, process: ProcessId) {
    let mut sim = shared.sim();
    let Some(slot) = sim.alive(process) else { return };
    for slot in sim.family(slot) {
        let process = sim.process(slot);
        let since = process.frozen.take().map_or(Duration::ZERO, |since| now.since(since));
        process.frozen_for = process.frozen_for.saturating_add(since);
        process.gate.thaw();
    }
}
