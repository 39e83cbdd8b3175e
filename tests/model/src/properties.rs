//! The properties that must hold in every state, and the states that must be reached.

use firecamp_core::record::State;
use stateright::Property;

use crate::config::Config;
use crate::fixture::{Kind, NO_ENI, NODES, small};
use crate::machines::Request;
use crate::model::ProtocolModel;
use crate::state::{ModelState, Reassigned, Violation};

impl ProtocolModel {
    /// Whether EC2, the data path, the record, this node's kernel with its lock, and the file agree
    /// that the pod has its address.
    pub(crate) fn agrees(&self, state: &ModelState, pod: usize) -> bool {
        let member = self.machines.fixture.member_of(pod);
        let node = state.pods[pod].node;
        let address = &state.addresses[member];
        let record = self.machines.record(address.record);
        let kernel = address.kernel[usize::from(node)];
        let locked = kernel.lock.is_some_and(|lock| {
            lock.held && usize::from(lock.holder.pod) == pod && lock.holder.epoch == record.epoch
        });
        let held = record.attachment.is_some_and(|(holder, at, state)| {
            usize::from(holder) == pod && at == node && state == State::Attached
        });
        let reached = address.owner == node && address.path == node;
        reached && held && kernel.present && locked && address.file.durable
    }

    /// Whether a call took effect after T: outside A1, EC2 may be wrong for moments.
    fn late(&self, state: &ModelState) -> bool {
        state.budget.late < self.config.budget.late
    }

    fn ready_is_true(&self, state: &ModelState) -> bool {
        self.late(state)
            || Self::ready(state).all(|(pod, _)| {
                let member = self.machines.fixture.member_of(pod);
                state.addresses[member].reassigned != Reassigned::No || self.agrees(state, pod)
            })
    }

    /// A record without pending mutations names the ENI that has the address in EC2.
    fn settled_is_true(&self, state: &ModelState) -> bool {
        self.late(state)
            || (0..self.machines.fixture.members()).all(|member| {
                let address = &state.addresses[member];
                let record = self.machines.record(address.record);
                let settled = (0..self.config.nodes)
                    .find(|eni| record.object.settled_on(&self.machines.fixture.eni_id(*eni)));
                address.reassigned != Reassigned::No
                    || settled.is_none_or(|eni| address.owner == eni)
            })
    }

    /// A record with state Released means that no ENI of ours has the address.
    fn released_is_true(&self, state: &ModelState) -> bool {
        self.late(state)
            || (0..self.machines.fixture.members()).all(|member| {
                let address = &state.addresses[member];
                let record = self.machines.record(address.record);
                let state = record.attachment.map(|(_, _, state)| state);
                let free = state == Some(State::Released) && record.marks == 0;
                address.reassigned != Reassigned::No
                    || !free
                    || address.owner >= crate::fixture::FOREIGN
            })
    }
}

/// From every state, a fair execution without faults ends well.
pub(crate) const HEALS: &str = "heals";

/// All properties.
pub(crate) fn all(config: &Config) -> Vec<Property<ProtocolModel>> {
    let mut all = always();
    all.extend(coverage(config));
    all
}

fn always() -> Vec<Property<ProtocolModel>> {
    vec![
        Property::always("the model is large enough", |_: &ProtocolModel, w: &ModelState| {
            !w.has_violation(Violation::Model)
        }),
        Property::always("ready means reachable", ProtocolModel::ready_is_true),
        Property::always("settled means settled", ProtocolModel::settled_is_true),
        Property::always("released means released", ProtocolModel::released_is_true),
        Property::always("foreign stays foreign", |_: &ProtocolModel, w: &ModelState| {
            !w.has_violation(Violation::Foreign)
        }),
        Property::always("nothing is given up by mistake", |_: &ProtocolModel, w: &ModelState| {
            !w.has_violation(Violation::Lost)
        }),
        Property::always("no silent overlap", |_: &ProtocolModel, w: &ModelState| {
            !w.has_violation(Violation::Overlap)
        }),
        Property::always("a release leaves nothing", |_: &ProtocolModel, w: &ModelState| {
            !w.has_violation(Violation::Left)
        }),
        Property::always("no release of a live pod", |_: &ProtocolModel, w: &ModelState| {
            !w.has_violation(Violation::Early)
        }),
        Property::always("calls keep within their budget", |_: &ProtocolModel, w: &ModelState| {
            !w.has_violation(Violation::Budget)
        }),
        Property::always(HEALS, ProtocolModel::heals),
    ]
}

/// States that must be reached; otherwise the model does not cover what it is meant to.
fn coverage(config: &Config) -> Vec<Property<ProtocolModel>> {
    let faults = config.budget;
    let all: [(bool, &'static str, Observation); 12] = [
        (true, "a pod is up", |_, w| ProtocolModel::ready(w).next().is_some()),
        (!config.instant, "the data path lags", |_, w| {
            w.addresses.iter().any(|a| a.owner != a.path && a.owner != NO_ENI)
        }),
        (config.pods > 1, "a successor is up", |m, w| {
            ProtocolModel::ready(w).any(|(pod, _)| pod % m.machines.fixture.pods_each() > 0)
        }),
        (!config.unassign, "parked", |m, w| has_state(m, w, State::Parked)),
        (config.unassign || config.evicts, "unassigned", |m, w| has_state(m, w, State::Released)),
        (faults.crash + faults.lost > 0, "T is waited for", |m, w| {
            w.procs.iter().flatten().any(|p| m.next_action(w, *p) == Request::Pause(2))
        }),
        (faults.lost > 0, "a call is in flight", |_, w| w.calls.iter().any(Option::is_some)),
        (faults.reassignment > 0, "reassigned externally", |_, w| {
            w.addresses.iter().any(|a| a.reassigned != Reassigned::No)
        }),
        (faults.late > 0, "a call lands late", ProtocolModel::late),
        (faults.force > 0, "two pods at once", |_, w| {
            let pods = w.procs.iter().flatten().filter(|p| p.kind != Kind::Agent).map(|p| p.pod);
            pods.clone().min() != pods.max()
        }),
        (config.agent, "an agent is at work", |_, w| {
            w.procs.iter().flatten().any(|p| p.kind == Kind::Agent)
        }),
        (config.twins, "two agents of one node at work for one address", |_, w| {
            let executions = |node| ProtocolModel::executions(w, node, 0);
            (0..small(NODES)).any(|node| executions(node) > 1)
        }),
    ];
    let due = all.into_iter().filter(|(due, ..)| *due);
    due.map(|(_, name, observation)| Property::sometimes(name, observation)).collect()
}

/// A condition on a state.
type Observation = fn(&ProtocolModel, &ModelState) -> bool;

fn has_state(model: &ProtocolModel, state: &ModelState, wanted: State) -> bool {
    state.addresses.iter().any(|address| {
        let record = model.machines.record(address.record);
        record.attachment.is_some_and(|(_, _, found)| found == wanted)
    })
}
