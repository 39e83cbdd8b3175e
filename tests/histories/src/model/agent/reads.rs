//! What an agent reads: its kernel at once, everything else after some time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::node::{Event as NodeEvent, LostAddress, QueryResult};
use firecamp_core::action::Reply;
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use firecamp_core::ports::KernelTarget;
use firecamp_core::time::Moment;

use crate::model::Model;
use crate::model::process::Slot;
use crate::observation::type_limits;
use crate::scenario::Fault;
use crate::watch::Views;

/// The time limit of a query of EC2.
const READ_BOUND: Duration = Duration::from_secs(20);
/// A registry that does not answer within this is unavailable to an investigation.
const REGISTRY_BOUND: Duration = Duration::from_secs(3);
/// The longest lag of a watch of the pools.
const POOLS_LAG_MS: u64 = 30_000;

pub(in crate::model) fn unavailable() -> RegistryFailure {
    let kind = RegistryKind::Unavailable;
    RegistryFailure { kind, effect: Effect::None, detail: String::new() }
}

fn no_answer() -> CloudFailure {
    CloudFailure { kind: CloudKind::Transient, effect: Effect::None, detail: String::new() }
}

impl Model<'_> {
    pub(super) fn read_kernel(&mut self, slot: Slot, links: bool) -> NodeEvent {
        if self.injects(slot, Fault::HostRefuses) {
            return NodeEvent::KernelRead(None, None);
        }
        let (node, now) = (self.processes[slot.at()].spawn.node, self.now);
        let links = links.then(|| self.cluster.links(node, self.names, now));
        NodeEvent::KernelRead(Some(self.cluster.kernel_snapshot(node)), links)
    }

    pub(super) fn view_kernel(&mut self, slot: Slot, targets: Vec<KernelTarget>) -> NodeEvent {
        let (node, now) = (self.processes[slot.at()].spawn.node, self.now);
        let view = |target: KernelTarget| {
            let refused = self.injects(slot, Fault::HostRefuses);
            let view = (!refused).then(|| self.cluster.kernel_view(node, &target, now));
            (target, view)
        };
        NodeEvent::KernelViewed(targets.into_iter().map(view).collect())
    }

    /// Lists the registry, as it is now or as the watches show it.
    pub(super) fn list(&mut self, slot: Slot, known: &BTreeSet<Ipv4Addr>) {
        let (after, views) = self.views(slot);
        let lag = if self.scenario.orphans.is_some() {
            self.process(slot).rng.millis(0, POOLS_LAG_MS)
        } else {
            Duration::ZERO
        };
        let pools_at = Moment(self.now.0.saturating_sub(lag));
        let (node, known_as) = (self.processes[slot.at()].spawn.node, (self.names, self.now));
        let listing = |views| self.cluster.listing((node, known), (views, pools_at), known_as);
        let read = views.map(listing).ok_or_else(unavailable);
        self.tell(slot, after, NodeEvent::Listed(read));
    }

    /// How the registry appears to an agent, and after which time. None if it does not answer, and
    /// nothing is known.
    fn views(&mut self, slot: Slot) -> (Duration, Option<Views>) {
        if !self.scenario.shape.watches {
            let (after, answered) = self.query_registry(slot);
            return (after, answered.then_some(Views::FRESH));
        }
        let away = self.cluster.api_out;
        let fault = Fault::WATCHES.into_iter().find(|fault| !away && self.injects(slot, *fault));
        let now = self.now;
        let after = self.process(slot).rng.micros(20, 500);
        let mut rng = self.process(slot).rng.clone();
        let views = self.agent(slot).map(|agent| agent.watches.observe(now, away, fault, &mut rng));
        self.process(slot).rng = rng;
        (after, views)
    }

    pub(super) fn identify(&mut self, slot: Slot) {
        let node = self.processes[slot.at()].spawn.node;
        let read = match self.metadata_fails(slot) {
            Some(failure) => Err(failure),
            None => Ok(self.cluster.identity(node, self.names, self.now)),
        };
        let after = self.process(slot).rng.micros(500, 4_000);
        self.tell(slot, after, NodeEvent::Identified(read));
    }

    /// One Describe for all addresses of the node.
    pub(super) fn query_interfaces(&mut self, slot: Slot) {
        let (after, shown_at) = self.describe(slot);
        let place = (self.processes[slot.at()].spawn.node, self.scenario.shape.slot());
        if shown_at.is_none() && self.scenario.orphans.is_some() {
            self.coverage.hit("adoption: EC2 read failed");
        }
        let listing = shown_at.map(|then| self.cluster.interfaces(place, self.names, then));
        let result = QueryResult::Interfaces(listing.ok_or_else(no_answer));
        self.tell(slot, after, NodeEvent::Queried(result, Vec::new()));
    }

    pub(super) fn query_volumes(&mut self, slot: Slot) {
        let (after, shown_at) = self.describe(slot);
        let none = shown_at.map(|_now| (Vec::new(), Vec::new()));
        let result = QueryResult::Volumes(none.ok_or_else(no_answer));
        self.tell(slot, after, NodeEvent::Queried(result, Vec::new()));
    }

    pub(super) fn query_type_limits(&mut self, slot: Slot) {
        let (after, shown_at) = self.describe(slot);
        let limits = shown_at.map(|_now| type_limits());
        let result = QueryResult::TypeLimits(limits.ok_or_else(no_answer));
        self.tell(slot, after, NodeEvent::Queried(result, Vec::new()));
    }

    /// The subnets have no reservations.
    pub(super) fn query_reservations(&mut self, slot: Slot) {
        let (after, shown_at) = self.describe(slot);
        let none = shown_at.map(|_now| BTreeMap::new());
        let result = QueryResult::Reservations(none.ok_or_else(no_answer));
        self.tell(slot, after, NodeEvent::Queried(result, Vec::new()));
    }

    /// A query of EC2: when it ends, and the moment that the answer shows, if there is one.
    pub(in crate::model) fn describe(&mut self, slot: Slot) -> (Duration, Option<Moment>) {
        let now = self.now;
        let process = self.process(slot);
        process.ec2_calls = process.ec2_calls.saturating_add(1);
        let after = process.rng.millis(20, 120);
        if self.cluster.ec2_out {
            let silent = self.process(slot).rng.once_in(3);
            return (if silent { READ_BOUND } else { after }, None);
        }
        let refused = !self.cluster.ec2.buckets.describe.take(now);
        if refused || self.injects(slot, Fault::CloudFails) {
            return (after, None);
        }
        if self.injects(slot, Fault::DescribeStale) {
            let lag = self.process(slot).rng.millis(0, 9_900);
            return (after, Some(Moment(now.0.saturating_sub(lag))));
        }
        (after, Some(now))
    }

    /// Investigates a misplaced address, like the product's `partition`.
    pub(super) fn investigate(&mut self, slot: Slot, lost: LostAddress) {
        let (time, answered) = self.query_registry(slot);
        let record = self.cluster.registry.static_ips.get(&lost.address);
        let record = record.map(|stored| stored.object.clone());
        let read = if answered { Ok(record) } else { Err(unavailable()) };
        let mut after = time.min(REGISTRY_BOUND);
        let read = (time < REGISTRY_BOUND).then_some(&read);
        let found = match lost.finding_by_record(read) {
            Some(found) => found,
            None if lost.withheld => lost.finding_by_owner(Err(no_answer())),
            None => {
                let (time, reply) = self.describe_owner(slot, lost.address);
                after = after.saturating_add(time);
                let Reply::Owner(owner) = reply else { return };
                lost.finding_by_owner(owner)
            }
        };
        self.tell(slot, after, NodeEvent::LossInvestigated(lost, found, None));
    }
}
