//! How an agent maintains the addresses of its own node: observe, plan, act, report.
//!
//! * [`Event`]: changes, ticks, and the results of the effects.
//! * [`NodeController`]: the state machine. Each concern has a file and a state of its own.
//! * [`Effect`]: reads of the kernel, which happen at once; tasks, which run beside the controller
//!   and end with an event; and reports.
//!
//! Guarantees: each event leads to one plan, after a read of the part of the kernel that may have
//! changed. What could not be read never counts as absent. Assumptions: the kernel is read before
//! the next event; each task ends with its event.

mod adopt;
mod adoption_attempt;
mod backoff;
mod collect;
#[cfg(test)]
mod ec2_fleet_tests;
mod ec2_queries;
mod effect;
mod event;
mod evict;
mod kernel;
mod leader_observation;
mod link_up;
pub(crate) mod managed_interfaces;
mod observed;
mod operations;
mod preflight;
mod reconcile;
mod registry_reads;
mod schedule;
#[cfg(test)]
mod tests;
mod withhold;
mod without_address;

use firecamp_core::agent::{Adopter, Ec2Query, Operation, Snapshot};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::failure::CloudFailure;
use firecamp_core::ids::{ClusterName, NodeName};
use firecamp_core::machine::Outcome;
use firecamp_core::ports::{KernelTarget, KernelView};
use firecamp_core::time::Moment;
use firecamp_node::kernel::{KernelSnapshot, ObservedLink};
use firecamp_node::preflight::facts::{AttachedVolumes, Reading};
use firecamp_node::volumes::observation::CloudView;

pub use self::adopt::{AdoptionResult, AgentIdentity};
pub use self::adoption_attempt::{AdoptionAttempt, AttemptAnswer, AttemptStep};
pub use self::effect::{Counts, Effect, EndedOperation, Report, Task};
pub use self::event::{Event, QueryResult, Tick};
pub use self::evict::{Eviction, LocalPod, LocalPods, choose_eviction};
pub use self::managed_interfaces::{
    CniSettings, InterfaceRead, InterfaceStep, OwnNode, PoolPolicy, StepEnd, VpcCniSettings, Wanted,
};
pub use self::observed::Listing;
pub use self::operations::OperationKind;
pub use self::withhold::{Finding, LostAddress};

use self::collect::Leftovers;
use self::ec2_queries::Ec2Queries;
use self::evict::Evictions;
use self::kernel::KernelReads;
use self::link_up::LinkRaiser;
use self::managed_interfaces::ManagedInterfaces;
use self::observed::Observed;
use self::operations::Operations;
use self::preflight::Preflight;
use self::registry_reads::RegistryReads;
use self::schedule::Schedule;
use self::withhold::Withholding;
use crate::Controller;

/// The controller of one node.
#[derive(Debug)]
pub struct NodeController {
    observed: Observed,
    kernel: KernelReads,
    registry: RegistryReads,
    ec2: Ec2Queries,
    operations: Operations,
    leftovers: Leftovers,
    adopter: Adopter,
    withholding: Withholding,
    preflight: Preflight,
    links: LinkRaiser,
    managed: ManagedInterfaces,
    evictions: Evictions,
    schedule: Schedule,
}

impl NodeController {
    /// Starts with the last snapshot of this node. `random` is at least zero and less than one.
    pub fn new(
        node: NodeName,
        cluster: ClusterName,
        rule: EniRule,
        last: Option<Snapshot>,
        random: f64,
    ) -> Self {
        Self {
            preflight: Preflight::new(cluster.clone(), rule),
            observed: Observed::new(node, cluster, last),
            kernel: KernelReads::new(),
            registry: RegistryReads::default(),
            ec2: Ec2Queries::new(random),
            operations: Operations::default(),
            leftovers: Leftovers::default(),
            adopter: Adopter::default(),
            withholding: Withholding::default(),
            links: LinkRaiser::default(),
            managed: ManagedInterfaces::new(),
            evictions: Evictions::default(),
            schedule: Schedule::default(),
        }
    }

    /// Applies what happened outside, and the results of tasks.
    fn apply(&mut self, event: Event, now: Moment, effects: &mut Vec<Effect>) {
        match event {
            Event::Tick(tick) => self.tick(tick, now, effects),
            Event::KernelChanged(changes) => {
                self.registry.kernel_changed();
                self.kernel.changed(changes, now, effects);
            }
            Event::RegistryChanged => self.registry.changed(),
            Event::LeaseRead(read) => self.ec2.lease_read(read, &self.observed, now),
            // What nobody asked for may be older than what is known.
            Event::KernelRead(..) | Event::KernelViewed(_) if !self.kernel.is_running() => {}
            Event::KernelRead(snapshot, links) => self.kernel_read(snapshot, links, effects),
            Event::KernelViewed(views) => self.kernel_viewed(views),
            Event::Listed(read) => {
                self.registry.ended();
                if let Ok(listing) = read {
                    if listing.pools.is_some() {
                        self.managed.pools(listing.wants_interfaces, now);
                    }
                    self.listed(listing);
                }
            }
            Event::Identified(read) => {
                self.schedule.identifying = false;
                self.preflight.identified(&read);
                if let Ok(identity) = read {
                    self.observe(|observed| observed.identified(identity, now));
                }
            }
            Event::Queried(result, clocks) => self.queried(result, clocks, now, effects),
            Event::Files(facts) => {
                self.schedule.reading_files = false;
                self.preflight.files(facts);
            }
            Event::Endpoint(listens) => self.preflight.endpoint(listens.into()),
            Event::Raised(eni, done) => effects.push(Effect::Report(Report::Raised(eni, done))),
            Event::Claimed(claimed) => {
                effects.extend(self.leftovers.complete(claimed, &self.observed, now));
            }
            Event::Orphans(found, recorded, begun) => {
                effects.extend(self.adopt_orphans(&found, &recorded, begun, now));
            }
            Event::AdoptionTried(orphan, result) => adopt::tried(orphan, result, effects),
            Event::LossInvestigated(lost, found, done) => {
                if self.withholding.investigated(lost, found, done, effects) {
                    self.kernel.all_stale();
                }
            }
            Event::InterfaceStepEnded(end) => self.interface_step_ended(end, now, effects),
            Event::OperationEnded(address, kind, outcome) => {
                let ended = self.operations.ended((address, kind), outcome, now);
                if let Some(ended) = ended {
                    self.operation_ended(ended, now, effects);
                }
            }
        }
    }

    fn interface_step_ended(&mut self, end: StepEnd, now: Moment, effects: &mut Vec<Effect>) {
        if let StepEnd::Read(Ok(InterfaceRead { wanted: Some(wanted), .. })) = &end {
            effects.push(Effect::IdentifyCluster(wanted.cluster_uid.clone()));
        }
        self.managed.ended(end, now);
        self.preflight.unusable(self.managed.unusable(self.observed.cluster()));
    }

    /// Applies an observation. If it changes the kernel targets, all of them are read again.
    fn observe(&mut self, apply: impl FnOnce(&mut Observed)) {
        let before = self.observed.targets();
        apply(&mut self.observed);
        if self.observed.targets() != before {
            self.kernel.all_stale();
        }
    }

    fn listed(&mut self, listing: Listing) {
        if let Some(pools) = &listing.pools {
            self.preflight.pools(pools);
        }
        self.observe(|observed| observed.listed(listing));
    }

    /// Without a snapshot, the observations stay as they are.
    fn kernel_read(
        &mut self,
        snapshot: Option<KernelSnapshot>,
        links: Option<Vec<ObservedLink>>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(snapshot) = snapshot else { return self.kernel.failed() };
        self.observed.set_kernel_snapshot(snapshot);
        if let Some(links) = links {
            self.preflight.links(&links);
        }
        effects.push(Effect::ViewKernel(self.kernel.concerned(self.observed.targets())));
    }

    fn kernel_viewed(&mut self, views: Vec<(KernelTarget, Option<KernelView>)>) {
        self.kernel.ended();
        for (target, view) in views {
            if let Some(view) = view {
                self.observed.viewed(target, view);
            } else {
                self.observed.not_viewed(target.address);
                self.kernel.stale(target.address);
            }
        }
    }

    /// A query of EC2 has ended.
    fn queried(
        &mut self,
        result: QueryResult,
        clocks: Vec<Reading>,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        match result {
            QueryResult::Interfaces(read) => {
                let listed = read.as_deref().map_err(|failure| failure.kind);
                self.ec2.interfaces(listed, &mut self.observed, now);
                let listing = read.as_ref().ok().cloned();
                self.preflight.clocks(clocks);
                self.preflight.interfaces(read);
                effects.extend(self.withholding.investigate(self.observed.lost()));
                effects.extend(self.check_orphans(listing.as_deref()).map(Effect::Start));
            }
            QueryResult::Volumes(read) => {
                self.ec2.ended(read.is_ok());
                self.preflight.clocks(clocks);
                let counted = read.as_ref().map(|(here, _)| AttachedVolumes::of(here));
                self.preflight.volumes(&counted.map_err(CloudFailure::clone));
                if let (Some(identity), Ok((attachments, elsewhere))) =
                    (self.observed.identity(), read)
                {
                    let view = CloudView { zone: identity.zone.clone(), attachments, elsewhere };
                    effects.push(Effect::ObserveVolumes(view));
                }
            }
            QueryResult::TypeLimits(read) => {
                self.ec2.ended(read.is_ok());
                self.preflight.clocks(clocks);
                self.preflight.type_limits(read);
            }
            QueryResult::Reservations(read) => {
                self.ec2.ended(read.is_ok());
                self.preflight.clocks(clocks);
                self.preflight.reservations(&read);
                let asked = self.ec2.last_started(Ec2Query::Reservations).unwrap_or(now);
                self.evictions.queried(read, asked, now);
            }
        }
    }

    fn operation_ended(&mut self, ended: EndedOperation, now: Moment, effects: &mut Vec<Effect>) {
        self.preflight.operation_ended(&ended);
        if let (Operation::Reassert { .. }, Some(Outcome::Maintained { .. })) =
            (&ended.operation, &ended.outcome)
        {
            self.observed.reasserted(ended.address);
        }
        let notice = operations::notice(&ended);
        if let Operation::Evict { address, .. } = ended.operation {
            self.evictions.ended(address, notice.is_some(), now);
        }
        effects.push(Effect::Report(Report::Ended(ended)));
        effects.extend(notice.map(Effect::Notify));
        // Changes of locks cause no kernel event.
        self.kernel.all_stale();
    }
}

impl Controller for NodeController {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        let is_kernel_read = matches!(event, Event::KernelRead(..) | Event::KernelViewed(_));
        self.apply(event, now, &mut effects);
        let changed = self.preflight.take_changed().into_iter();
        effects.extend(changed.map(|condition| Effect::Report(Report::Condition(condition))));
        if self.schedule.stopping {
            effects.retain(|effect| !matches!(effect, Effect::Start(_)));
            return effects;
        }
        if self.kernel.is_running() {
            return effects;
        }
        // One read for each event: after a failed one, the old observations are planned from.
        let read = if is_kernel_read { None } else { self.kernel.due() };
        match read {
            Some(read) => effects.push(read),
            None => self.reconcile(now, &mut effects),
        }
        effects
    }

    fn next_tick(&self) -> Option<Moment> {
        (!self.schedule.stopping).then_some(self.schedule.next_tick)
    }

    fn stop(&mut self, _now: Moment) -> Vec<Effect> {
        self.schedule.stopping = true;
        Vec::new()
    }

    fn is_idle(&self) -> bool {
        self.operations.is_idle()
    }
}
