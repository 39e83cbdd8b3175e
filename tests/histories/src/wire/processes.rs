//! Processes as tasks with the real runner in them.

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
use firecamp_engine::{Dice, Ended, Run, Signal};
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::wire::agent;
use crate::wire::gate::Gated;
use crate::wire::site::{Shared, Slot};
use crate::wire::systems;
use crate::wire::watched::Watched;

/// Something that runs tasks.
pub(crate) type Starter<'a> =
    &'a dyn Fn(std::pin::Pin<Box<dyn Future<Output = ()>>>) -> AbortHandle;

/// Begins a process of the director's.
pub(crate) fn spawn(shared: &Shared, now: Moment, spawn: Spawn, start: Starter<'_>) {
    let slot = {
        let mut site = shared.site();
        let slot = site.begin(now, spawn, None);
        debug_assert_eq!(site.slots.len(), spawn.process.at(), "ids come in order");
        site.slots.push(slot);
        slot
    };
    match spawn.role {
        Role::Init => {
            let (input, stop) = {
                let site = shared.site();
                let input = inputs::attach(&site.scenario, &site.names, spawn, slot.0);
                (input, site.processes[slot.at()].token.clone())
            };
            begin(shared, slot, start, Signal::Interrupt(stop), |now| Attach::new(input, now));
        }
        Role::Stop(kind, grace) => {
            let (input, stop) = {
                let site = shared.site();
                let input = inputs::release(&site.names, (spawn, slot.0), kind, grace);
                (input, site.processes[slot.at()].token.clone())
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

/// Begins a machine in a task of its own.
pub(crate) fn begin<M: Machine + 'static>(
    shared: &Shared,
    slot: Slot,
    start: Starter<'_>,
    signal: Signal,
    make: impl FnOnce(Moment) -> M + 'static,
) {
    let (first, member, dice) = {
        let mut site = shared.site();
        let process = site.process(slot);
        let first = process.chance.micros(500, 20_000);
        let dice = Dice::seeded(process.chance.bits());
        let member = process.spawn.member;
        (first, site.names.member(member).clone(), dice)
    };
    let mine = shared.clone();
    let work = async move {
        sleep(first).await;
        let systems = systems::of(&mine, slot);
        let run = Run { member, pool: None, signal, dice };
        let make = |now| Watched::new(make(now), &mine, slot);
        let ended = Box::pin(firecamp_engine::run(make, &systems, &run)).await;
        mine.with(|site, _, now| site.finish(now, slot, told(ended)));
        mine.ending.notify_one();
    };
    launch(shared, slot, start, work);
}

fn told(ended: Ended) -> cluster::Ended {
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
    let gate = Arc::clone(&shared.site().process(slot).gate);
    let task = start(Box::pin(Gated::new(gate, work)));
    shared.site().process(slot).task = Some(task);
}

/// Where a process of the director's is, by its id.
pub(crate) fn signal(shared: &Shared, now: Moment, process: ProcessId) {
    let mut site = shared.site();
    if let Some(slot) = site.alive(process) {
        let process = site.process(slot);
        process.signalled.get_or_insert(now);
        process.token.cancel();
    }
}

/// SIGSTOP.
pub(crate) fn freeze(shared: &Shared, now: Moment, process: ProcessId) {
    let mut site = shared.site();
    let Some(slot) = site.alive(process) else { return };
    for slot in site.family(slot) {
        let process = site.process(slot);
        process.frozen.get_or_insert(now);
        process.gate.freeze();
    }
}

/// SIGCONT.
pub(crate) fn thaw(shared: &Shared, now: Moment, process: ProcessId) {
    let mut site = shared.site();
    let Some(slot) = site.alive(process) else { return };
    for slot in site.family(slot) {
        let process = site.process(slot);
        let since = process.frozen.take().map_or(Duration::ZERO, |since| now.since(since));
        process.frozen_for = process.frozen_for.saturating_add(since);
        process.gate.thaw();
    }
}
