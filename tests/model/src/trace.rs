//! Prints an execution of the model for people.

use stateright::Path;

use crate::enabled_transitions::Transition;
use crate::model::ProtocolModel;
use crate::state::ModelState;

/// One line for each transition: what happened, to which process, and the resulting state.
pub(crate) fn lines(model: &ProtocolModel, path: Path<ModelState, Transition>) -> Vec<String> {
    path.into_vec()
        .into_iter()
        .map(|(state, transition)| {
            transition
                .map_or_else(|| scene(model, &state), |transition| line(model, &state, transition))
        })
        .collect()
}

/// The last rounds in which the state should have healed.
pub(crate) fn failed_healing(model: &ProtocolModel, state: &ModelState) -> Vec<String> {
    let rounds = model.rounds(state);
    let last = rounds.iter().rev().take(3).rev();
    let reported = last.map(|state| format!("HEALING {}", scene(model, state)));
    std::iter::once(format!("not well after {} rounds", rounds.len())).chain(reported).collect()
}

fn line(model: &ProtocolModel, state: &ModelState, transition: Transition) -> String {
    let process = |slot: usize| {
        state.procs[slot].map_or_else(String::new, |proc| {
            let action = model.machines.known(proc.machine).action;
            format!("{:?} of pod{} at {action:?}", proc.kind, proc.pod)
        })
    };
    match transition {
        Transition::Step(slot, pick) => format!("{}: {pick}", process(slot)),
        Transition::Lose(slot) => format!("{}: the answer is lost", process(slot)),
        Transition::Fail(slot) => format!("{}: the request is lost", process(slot)),
        Transition::Crash(slot) => format!("{}: dies", process(slot)),
        Transition::CrashSent(slot) => format!("{}: sends its call and dies", process(slot)),
        Transition::Late(slot) => format!("{}: sends too late", process(slot)),
        Transition::Land(call) => format!("takes effect: {:?}", state.calls[call]),
        Transition::Tick
        | Transition::Schedule(..)
        | Transition::Delete(_)
        | Transition::Force(_)
        | Transition::MainEnds(_)
        | Transition::Sandbox(_)
        | Transition::Reboot(_)
        | Transition::NodeLost(_)
        | Transition::Execution(..)
        | Transition::ExternalReassignment(..) => format!("{transition:?}"),
    }
}

fn scene(model: &ProtocolModel, state: &ModelState) -> String {
    let members = model.machines.fixture.members();
    let records = state.addresses.iter().take(members).map(|address| {
        let record = &model.machines.record(address.record).object;
        format!(
            "owner {} path {} epoch {} {:?} reserved {:?} pending {:?} kernel {:?} imds {:?}",
            address.owner,
            address.path,
            record.epoch,
            record.attachment,
            record.reserved_on,
            record.pending_mutations,
            address.kernel,
            address.imds
        )
    });
    let records: Vec<_> = records.collect();
    let procs: Vec<_> = state
        .procs
        .iter()
        .flatten()
        .map(|p| {
            format!("{:?} of pod{} at {:?}", p.kind, p.pod, model.machines.known(p.machine).action)
        })
        .collect();
    format!("THEN {records:?}; pods {:?}; {procs:?}", state.pods)
}
