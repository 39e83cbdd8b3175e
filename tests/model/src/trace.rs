//! A way through the model, for people.

use stateright::Path;

use crate::acts::Act;
use crate::model::Small;
use crate::state::World;

/// One line for each action: what happened, to whom, and what is there then.
pub(crate) fn told(model: &Small, path: Path<World, Act>) -> Vec<String> {
    path.into_vec()
        .into_iter()
        .map(|(world, act)| {
            act.map_or_else(|| scene(model, &world), |act| line(model, &world, act))
        })
        .collect()
}

/// The last of the rounds in which it should have healed.
pub(crate) fn unhealed(model: &Small, world: &World) -> Vec<String> {
    let rounds = model.rounds(world);
    let last = rounds.iter().rev().take(3).rev();
    let told = last.map(|world| format!("HEALING {}", scene(model, world)));
    std::iter::once(format!("not well after {} rounds", rounds.len())).chain(told).collect()
}

fn line(model: &Small, world: &World, act: Act) -> String {
    let process = |slot: usize| {
        world.procs[slot].map_or_else(String::new, |proc| {
            let ask = model.machines.known(proc.machine).ask;
            format!("{:?} of pod{} at {ask:?}", proc.kind, proc.pod)
        })
    };
    match act {
        Act::Step(slot, pick) => format!("{}: {pick}", process(slot)),
        Act::Lose(slot) => format!("{}: the answer is lost", process(slot)),
        Act::Fail(slot) => format!("{}: the request is lost", process(slot)),
        Act::Crash(slot) => format!("{}: dies", process(slot)),
        Act::CrashSent(slot) => format!("{}: sends and dies", process(slot)),
        Act::Late(slot) => format!("{}: sends too late", process(slot)),
        Act::Land(call) => format!("lands: {:?}", world.calls[call]),
        Act::Tick
        | Act::Schedule(..)
        | Act::Delete(_)
        | Act::Force(_)
        | Act::MainEnds(_)
        | Act::Sandbox(_)
        | Act::Reboot(_)
        | Act::NodeLost(_)
        | Act::Errand(..)
        | Act::Theft(..) => format!("{act:?}"),
    }
}

fn scene(model: &Small, world: &World) -> String {
    let members = model.machines.cast.members();
    let records = world.addresses.iter().take(members).map(|address| {
        let record = &model.machines.record(address.record).object;
        format!(
            "owner {} path {} epoch {} {:?} reserved {:?} marks {:?} kernel {:?} imds {:?}",
            address.owner,
            address.path,
            record.epoch,
            record.attachment,
            record.reserved_on,
            record.unsettled,
            address.kernel,
            address.imds
        )
    });
    let records: Vec<_> = records.collect();
    let procs: Vec<_> = world
        .procs
        .iter()
        .flatten()
        .map(|p| {
            format!("{:?} of pod{} at {:?}", p.kind, p.pod, model.machines.known(p.machine).ask)
        })
        .collect();
    format!("THEN {records:?}; pods {:?}; {procs:?}", world.pods)
}
