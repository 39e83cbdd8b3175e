//! Reports of watched machines.

use crate::names::ProcessId;
use firecamp_core::action::{Action, Reply};
use firecamp_core::step::{AttachStep, Step};
use firecamp_core::time::Moment;

use super::{Shared, SimState, Slot};

impl Shared {
    /// Its runner starts.
    pub(crate) fn started(&self, slot: Slot) {
        let now = self.now();
        self.sim().process(slot).origin = now;
    }

    /// It has named an action.
    pub(crate) fn requested(&self, slot: Slot, action: &Action) {
        let now = self.now();
        let mut sim = self.sim();
        if let Action::Assign { not_after, .. } | Action::Unassign { not_after, .. } = action {
            let process = sim.process(slot);
            process.not_after = Moment(process.origin.0.saturating_add(not_after.0));
        }
        if *action != Action::Done {
            sim.trace.action(now, slot.0, action);
        }
    }

    /// It receives a reply.
    pub(crate) fn reported(&self, slot: Slot, reply: &Reply) {
        let now = self.now();
        let mut sim = self.sim();
        sim.coverage.steps += 1;
        sim.trace.reply(now, slot.0, reply);
        let process = sim.process(slot);
        process.causes.note(reply);
        let pod = process.releases.then_some(process.spawn.pod);
        process.observed.note(reply, pod, process.not_after);
    }

    /// It has crossed a boundary.
    pub(crate) fn crossed(&self, slot: Slot, step: Step) {
        let mut sim = self.sim();
        sim.coverage.step(step);
        match step {
            // The holder's own Assign was answered: from here on it is fenced.
            Step::Attach(AttachStep::AssignAnswered | AttachStep::DataPathSwitched) => {
                sim.confirm(slot);
            }
            Step::Attach(_)
            | Step::Release(_)
            | Step::Free(_)
            | Step::Withdraw(_)
            | Step::Reassert(_)
            | Step::Restore(_)
            | Step::Collect(_) => {}
        }
    }
}

impl SimState {
    /// The holder of an epoch has a proof that EC2 has the address on its ENI.
    fn confirm(&mut self, slot: Slot) {
        let member = self.names.member(self.processes[slot.at()].spawn.member);
        let registry = &self.cluster.registry;
        let address = registry.claims.get(member).and_then(|claim| claim.object.address);
        let record = address.and_then(|address| registry.static_ips.get(&address));
        let own = self.names.run(ProcessId(slot.0));
        let held = record.map(|stored| &stored.object).filter(|record| {
            record.attachment.as_ref().is_some_and(|attachment| attachment.run == own)
        });
        if let Some(record) = held {
            self.audit.confirmed(record, slot.0);
        }
    }
}
