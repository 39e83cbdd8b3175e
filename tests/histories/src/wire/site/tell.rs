//! What a watched machine tells.

use crate::names::ProcessId;
use firecamp_core::action::{Action, Reply, Step};
use firecamp_core::time::Moment;

use super::{Shared, Site, Slot};

impl Shared {
    /// Its runner begins.
    pub(crate) fn begun(&self, slot: Slot) {
        let now = self.now();
        self.site().process(slot).origin = now;
    }

    /// It has named an action.
    pub(crate) fn asked(&self, slot: Slot, action: &Action) {
        let now = self.now();
        let mut site = self.site();
        if let Action::Assign { not_after, .. } | Action::Unassign { not_after, .. } = action {
            let process = site.process(slot);
            process.not_after = Moment(process.origin.0.saturating_add(not_after.0));
        }
        if *action != Action::Done {
            site.trace.action(now, slot.0, action);
        }
    }

    /// It is told a reply.
    pub(crate) fn told(&self, slot: Slot, reply: &Reply) {
        let now = self.now();
        let mut site = self.site();
        site.probes.steps += 1;
        site.trace.reply(now, slot.0, reply);
        let process = site.process(slot);
        process.causes.note(reply);
        let pod = process.releases.then_some(process.spawn.pod);
        process.heard.note(reply, pod, process.not_after);
    }

    /// It has crossed a boundary.
    pub(crate) fn crossed(&self, slot: Slot, step: Step) {
        let mut site = self.site();
        site.probes.step(step);
        match step {
            // The holder's own Assign was answered: from here on it is fenced.
            Step::Attach(9 | 10) => site.confirm(slot),
            Step::Attach(_)
            | Step::Release(_)
            | Step::Free(_)
            | Step::GiveWay(_)
            | Step::Reassert(_)
            | Step::Restore(_)
            | Step::Collect(_) => {}
        }
    }
}

impl Site {
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
