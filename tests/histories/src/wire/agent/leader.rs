//! An agent as candidate and leader: how the effects of its [`LeaderController`], which makes all
//! decisions, are performed with the real clients. The Lease is a value of the simulated cluster.
//!
//! [`LeaderController`]: firecamp_controllers::leader::LeaderController

use std::sync::Arc;
use std::time::Duration;

use crate::scenario::Fault;
use firecamp_controllers::leader::{
    Effect, Event as LeaderEvent, ObservedPod, Operation, PassStep, StepResult,
};
use firecamp_core::agent::Operation as NodeOperation;
use firecamp_core::failure::{Effect as ReportedEffect, RegistryFailure, RegistryKind};
use firecamp_core::ids::ClusterName;
use firecamp_core::managed_interface::InterfaceFilter;
use firecamp_core::ports::{Cloud, CloudInterfaces, Registry};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Agent, execute};
use crate::wire::systems::SystemsOf;

/// The time limit of a read.
const READ_BOUND: Duration = Duration::from_secs(5);

fn unavailable() -> RegistryFailure {
    let (kind, effect) = (RegistryKind::Unavailable, ReportedEffect::Unknown);
    RegistryFailure { kind, effect, detail: String::new() }
}

impl Agent {
    /// A tick: first, in a term, what the lists and watches report.
    pub(super) fn leader_tick(&mut self) -> LeaderEvent {
        if self.leader.in_term() {
            let reports = {
                let mut sim = self.shared.sim();
                let fails = sim.cluster.api_out || sim.injects(self.slot, Fault::RegistryFails);
                sim.cluster.reports(!fails, &sim.names)
            };
            for report in reports {
                self.lead(LeaderEvent::Cluster(Box::new(report)));
            }
        }
        let random = self.shared.sim().process(self.slot).rng.millis(0, 1_000).as_secs_f64();
        LeaderEvent::Tick(random)
    }

    /// Passes an event to the controller and performs the effects.
    pub(super) fn lead(&mut self, event: LeaderEvent) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            for effect in self.leader.handle(event, self.shared.now()) {
                next = self.perform_for_leader(effect).or(next);
            }
        }
    }

    /// Performs an effect. Returns the event to which it leads at once.
    fn perform_for_leader(&mut self, effect: Effect) -> Option<LeaderEvent> {
        match effect {
            Effect::ReadLease(id) => {
                let (after, fails) = self.request();
                let lease = self.shared.sim().cluster.leases.read(self.slot.0);
                let read = if fails { Err(unavailable()) } else { Ok(lease) };
                self.answer(after, LeaderEvent::LeaseRead(id, read));
            }
            Effect::WriteLease(id, write) => {
                let (after, fails) = self.request();
                let mut written = Err(unavailable());
                if !fails {
                    let mut sim = self.shared.sim();
                    let done = sim.cluster.leases.write(self.slot.0, write);
                    let lost = sim.injects(self.slot, Fault::RegistryLost);
                    written = if lost { written } else { done };
                }
                self.answer(after, LeaderEvent::LeaseWritten(id, written));
            }
            Effect::Start(PassStep::Perform(operation, _)) => return self.begin(&operation),
            Effect::Start(step) => {
                let (systems, term) = (Arc::clone(&self.tasks.systems), self.term.clone());
                let cluster = self.shared.sim().names.cluster.clone();
                self.requests.push(Box::pin(read(systems, (cluster, step), term)));
            }
            Effect::BeginTerm => self.term = CancellationToken::new(),
            Effect::EndTerm => self.term.cancel(),
            // No history stops an agent gracefully, or has Services.
            Effect::DropOperation | Effect::StartNames(_) | Effect::Report(_) => {}
        }
        None
    }

    /// How long a request about the Lease takes, and whether it fails.
    fn request(&self) -> (Duration, bool) {
        let mut sim = self.shared.sim();
        let fails = sim.cluster.api_out || sim.injects(self.slot, Fault::RegistryFails);
        (sim.process(self.slot).rng.micros(500, 6_000), fails)
    }

    fn answer(&self, after: Duration, event: LeaderEvent) {
        self.requests.push(Box::pin(async move {
            sleep(after).await;
            event
        }));
    }

    /// Starts a release, whose process tells its end. The other operations have tests of their own.
    fn begin(&self, operation: &Operation) -> Option<LeaderEvent> {
        if let Operation::Release { address, node_operation, .. } = operation
            && let NodeOperation::Release { member, .. } = node_operation
        {
            let operation = (node_operation, self.term.clone());
            execute(&self.shared, self.slot, operation, (*address, member));
            return None;
        }
        Some(LeaderEvent::StepEnded(StepResult::Performed(Vec::new())))
    }
}

/// A step that reads. It ends at once at the end of the term.
async fn read(
    systems: Arc<SystemsOf>,
    (cluster, step): (ClusterName, PassStep),
    term: CancellationToken,
) -> LeaderEvent {
    let result = match step {
        PassStep::Identify => {
            let read = timeout(READ_BOUND, systems.cloud.identity());
            let read = term.run_until_cancelled(read).await;
            StepResult::Identified(read.and_then(|read| read.ok()?.ok()))
        }
        // The agents of histories query EC2 as if there were no leader.
        PassStep::ListInterfaces => {
            let filter = InterfaceFilter::Cluster(cluster);
            let read = timeout(READ_BOUND, systems.cloud.describe_interfaces(&filter));
            let read = term.run_until_cancelled(read).await;
            let read = read.and_then(|read| Some(read.ok()?.map_err(|why| why.kind)));
            StepResult::InterfacesListed(read)
        }
        PassStep::ReadOwner(address, subnet) => {
            let read = timeout(READ_BOUND, systems.cloud.owner(address, &subnet));
            let read = term.run_until_cancelled(read).await;
            let read = read.and_then(|read| Some(read.ok()?.map_err(|why| why.kind)));
            StepResult::OwnerRead(read)
        }
        PassStep::ReadPod(member) => {
            let read = term.run_until_cancelled(systems.registry.pod(&member)).await;
            let pod = |view| ObservedPod { view, controller: None };
            StepResult::PodRead(read.and_then(|read| Some(pod(read.ok()?))))
        }
        // No pod has a gate.
        PassStep::ReadVolumes(..) => StepResult::VolumesRead(None),
        // FireCamp makes no interface here.
        PassStep::QueryInterface(_) => StepResult::InterfaceQueried(None),
        PassStep::Perform(..) => StepResult::Performed(Vec::new()),
    };
    LeaderEvent::StepEnded(result)
}
