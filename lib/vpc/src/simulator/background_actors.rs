//! Background actors: external reassignments, and new ENIs that take addresses.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::Simulator;
use super::scheduled_events::Event;
use crate::ec2::Knobs;
use crate::external_actions::Act;
use crate::faults::{Fault, FaultError, FaultId, FaultSpec};
use crate::model::Id;
use crate::rng::key_of;
use crate::timeline::Author;

impl Simulator {
    /// Refuses a fault that names unknown objects.
    pub(super) fn check_names(&self, fault: &Fault) -> Result<(), FaultError> {
        use Fault::{ExternalReassignment, ExternalUnassign};

        let bad = |field: &'static str, problem: String| {
            let kind = crate::faults::kind_of(fault);
            Err(FaultError::Invalid { kind, field, problem })
        };
        if let Fault::SubnetFull { subnet, .. } | Fault::AutoAssignPressure { subnet, .. } = fault
            && self.topology.subnet_named(subnet).is_none()
        {
            return bad("subnet", format!("unknown subnet {subnet:?}"));
        }
        if let ExternalReassignment { address, .. } | ExternalUnassign { address, .. } = fault
            && self.topology.subnet_with(*address).is_none()
        {
            return bad("address", format!("{address} is not in any subnet"));
        }
        if let Fault::ExternalReassignment { to: Some(to), .. } = fault
            && self.eni_named(to).is_none()
        {
            return bad("to", format!("unknown ENI {to:?}"));
        }
        Ok(())
    }

    /// Starts the actor of a background fault.
    pub(super) fn start_actor(&mut self, id: FaultId, spec: &FaultSpec) {
        let from = spec.when.from_ms.map_or(self.now, Duration::from_millis);
        let at = |at_ms: Option<u64>| at_ms.map_or(from, Duration::from_millis).max(self.now);
        let first = if let Fault::ExternalReassignment { at_ms, .. }
        | Fault::ExternalUnassign { at_ms, .. } = &spec.fault
        {
            at(*at_ms)
        } else if let Fault::AutoAssignPressure { every_ms, .. } = &spec.fault {
            at(None) + Duration::from_millis(*every_ms)
        } else {
            return;
        };
        self.schedule(first, Event::Act(id.0));
        self.advance(self.now);
    }

    /// Runs the actor of a background fault once, and schedules its next run.
    pub(super) fn run_actor(&mut self, id: u64) {
        if !self.faults.is_set(id) {
            return;
        }
        let live = self.faults.live(id, self.now).cloned();
        let Some(fault) = live else { return };
        let (every, result) = if let Fault::ExternalReassignment { address, to, every_ms, .. } =
            &fault
        {
            let act = Act::Reassign { address: *address, to: to.clone() };
            (*every_ms, self.reassign_if_lost(*address, &act))
        } else if let Fault::ExternalUnassign { address, every_ms, .. } = &fault {
            let act = Act::Unassign { address: *address };
            (*every_ms, self.perform(&act, "external").map(|()| true).map_err(|e| e.to_string()))
        } else if let Fault::AutoAssignPressure { subnet, every_ms } = &fault {
            (Some(*every_ms), self.take_free_address(subnet))
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

    /// Does nothing if the external caller already has the address.
    fn reassign_if_lost(&mut self, address: Ipv4Addr, act: &Act) -> Result<bool, String> {
        let commits = self.timeline.last_seq();
        self.perform(act, "external").map_err(|error| format!("{address}: {error}"))?;
        Ok(self.timeline.last_seq() > commits)
    }

    /// A new foreign ENI takes an address of a subnet as its primary one: a recently freed address,
    /// or else any free one; none of an explicit reservation (M12).
    fn take_free_address(&mut self, subnet: &str) -> Result<bool, String> {
        let subnet = self.topology.subnet_named(subnet).cloned();
        let subnet = subnet.ok_or_else(|| "the subnet does not exist".to_owned())?;
        let vpc = self.timeline.latest();
        let free = vpc.free_in(&subnet);
        let freed = self.timeline.freed().into_iter().find(|address| free.contains(address));
        let Some(address) = freed.or_else(|| free.first().copied()) else {
            return Err("the subnet has no free address".to_owned());
        };
        let number = self.timeline.last_seq() + 1;
        let key = key_of("pressure") ^ number;
        let id: Id = Id::from(format!("eni-{}", self.rng.hex17("pressure", key)));
        let mut next = (*vpc).clone();
        let eni = self.foreign_eni(id.clone(), subnet.id.clone(), address, "auto-assign pressure");
        next.enis.insert(id, std::sync::Arc::new(eni));
        let what = "CreateNetworkInterface".to_owned();
        let author = Author { by: "pressure".to_owned(), call: None, what };
        self.commit(author, next, &Knobs::default());
        Ok(true)
    }
}
