//! Others, who act on their own: thieves, and new ENIs that take addresses.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::World;
use super::landing::Event;
use crate::act::Act;
use crate::chance::key_of;
use crate::ec2::Knobs;
use crate::faults::{Fault, FaultError, FaultId, FaultSpec};
use crate::model::Id;
use crate::timeline::Author;

impl World {
    /// Refuses a fault about things that do not exist.
    pub(super) fn check_names(&self, fault: &Fault) -> Result<(), FaultError> {
        let bad = |field: &'static str, problem: String| {
            let kind = crate::faults::kind_of(fault);
            Err(FaultError::Invalid { kind, field, problem })
        };
        if let Fault::SubnetFull { subnet, .. } | Fault::AutoAssignPressure { subnet, .. } = fault
            && self.ground.subnet_named(subnet).is_none()
        {
            return bad("subnet", format!("there is no subnet {subnet:?}"));
        }
        if let Fault::Thief { address, .. } | Fault::ThiefUnassign { address, .. } = fault
            && self.ground.subnet_with(*address).is_none()
        {
            return bad("address", format!("{address} is in no subnet"));
        }
        if let Fault::Thief { to: Some(to), .. } = fault
            && self.eni_named(to).is_none()
        {
            return bad("to", format!("there is no ENI {to:?}"));
        }
        Ok(())
    }

    /// Lets the actor of a background fault begin.
    pub(super) fn start_actor(&mut self, id: FaultId, spec: &FaultSpec) {
        let from = spec.when.from_ms.map_or(self.now, Duration::from_millis);
        let at = |at_ms: Option<u64>| at_ms.map_or(from, Duration::from_millis).max(self.now);
        let first =
            if let Fault::Thief { at_ms, .. } | Fault::ThiefUnassign { at_ms, .. } = &spec.fault {
                at(*at_ms)
            } else if let Fault::AutoAssignPressure { every_ms, .. } = &spec.fault {
                at(None) + Duration::from_millis(*every_ms)
            } else {
                return;
            };
        self.schedule(first, Event::Act(id.0));
        self.advance(self.now);
    }

    /// The actor of a background fault acts, and comes again if it is to.
    pub(super) fn act_of(&mut self, id: u64) {
        if !self.faults.is_set(id) {
            return;
        }
        let live = self.faults.live(id, self.now).cloned();
        let Some(fault) = live else { return };
        let (every, result) = if let Fault::Thief { address, to, every_ms, .. } = &fault {
            let act = Act::Steal { address: *address, to: to.clone() };
            (*every_ms, self.steal_if_lost(*address, &act))
        } else if let Fault::ThiefUnassign { address, every_ms, .. } = &fault {
            let act = Act::Unassign { address: *address };
            (*every_ms, self.perform(&act, "thief").map(|()| true).map_err(|e| e.to_string()))
        } else if let Fault::AutoAssignPressure { subnet, every_ms } = &fault {
            (Some(*every_ms), self.take_one(subnet))
        } else {
            return;
        };
        match result {
            Ok(true) => self.faults.fired(id),
            Ok(false) => {}
            Err(problem) => self.faults.failed(id, problem),
        }
        if let Some(every) = every {
            self.schedule(self.now + Duration::from_millis(every), Event::Act(id));
        }
    }

    /// A thief that has the address already does nothing.
    fn steal_if_lost(&mut self, address: Ipv4Addr, act: &Act) -> Result<bool, String> {
        let commits = self.timeline.last_seq();
        self.perform(act, "thief").map_err(|error| format!("{address}: {error}"))?;
        Ok(self.timeline.last_seq() > commits)
    }

    /// A new foreign ENI takes an address of a subnet as its primary one: of those freed last, or
    /// else any free one; none of an explicit reservation (M12).
    fn take_one(&mut self, subnet: &str) -> Result<bool, String> {
        let subnet = self.ground.subnet_named(subnet).cloned();
        let subnet = subnet.ok_or_else(|| "the subnet is gone".to_owned())?;
        let ledger = self.timeline.latest();
        let free = ledger.free_in(&subnet);
        let freed = self.timeline.freed().into_iter().find(|address| free.contains(address));
        let Some(address) = freed.or_else(|| free.first().copied()) else {
            return Err("no address is free".to_owned());
        };
        let number = self.timeline.last_seq() + 1;
        let key = key_of("pressure") ^ number;
        let id: Id = Id::from(format!("eni-{}", self.chance.hex17("pressure", key)));
        let mut next = (*ledger).clone();
        let eni = self.stranger(id.clone(), subnet.id.clone(), address, "auto-assign pressure");
        next.enis.insert(id, std::sync::Arc::new(eni));
        let what = "CreateNetworkInterface".to_owned();
        let author = Author { by: "pressure".to_owned(), call: None, what };
        self.commit(author, next, &Knobs::default());
        Ok(true)
    }
}
