//! The plan that follows each event: start operations, report.

use std::net::Ipv4Addr;

use firecamp_core::agent::{Observation, ObservedAddress, Operation, plan};
use firecamp_core::record::State;
use firecamp_core::time::Moment;

use super::managed_interfaces::Inputs;
use super::operations::keys;
use super::{Counts, Effect, Eviction, NodeController, OperationKind, Report, Task};
use crate::publish::{Facts, Notice};

impl NodeController {
    /// Plans, starts the planned operations, and reports.
    pub(super) fn reconcile(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        effects.extend(self.registry.due(&self.observed, now).map(Effect::Start));
        let observation = self.observed.observation(now);
        let (found, without_address) = self.observed.without_address(now);
        effects.extend(found.into_iter().flat_map(|(member, pod)| {
            let report = Effect::Report(Report::WithoutAddress(member.clone()));
            [report, Effect::Notify(Notice::WithoutAddress(member, pod))]
        }));
        let observation_stale = self.ec2.is_observation_stale(now);
        let counts = Counts { without_address, observation_stale, ..self.counts(&observation) };
        effects.push(Effect::Report(Report::Counted(counts)));
        self.act(&observation, now, effects);
        self.raise_links(now, effects);
        effects.extend(self.observed.snapshot().map(Effect::WriteSnapshot));
        let verdicts = self.preflight.verdicts().to_vec();
        let complete = self.managed.is_known() && !verdicts.is_empty();
        let (vpc_cni, read) = (self.preflight.has_vpc_cni(), self.preflight.has_read_node());
        effects.push(Effect::ListEnis { verdicts, complete, vpc_cni, read });
        // A step may record that an interface is excluded.
        self.make_interfaces(now, effects);
        effects.extend(self.preflight.take_avoided().map(Effect::AvoidEnis));
        // A running list may return the record that the kernel event concerns.
        if !self.registry.is_running() {
            self.kernel.handled();
        }
        if self.schedule.publishes(now) {
            let mut facts = self.observed.facts(self.operations.failing());
            self.preflight.report(&mut facts);
            facts.checks.extend(self.managed.check());
            self.evict(&mut facts, now, effects);
            effects.push(Effect::Publish(facts));
        }
        if self.observed.is_complete() {
            effects.push(Effect::Report(Report::Ready));
        }
    }

    /// Plans again without the addresses' kernel state where a restore runs or is in backoff: a
    /// failing restore must not hide that EC2 has lost the address as well.
    fn beside_restores(&self, observation: &Observation, now: Moment) -> Vec<Operation> {
        let restores = |seen: &&ObservedAddress| {
            self.operations.is_unfinished((seen.record.address, OperationKind::Restore), now)
        };
        let mut others = Observation::new(
            observation.node.clone(),
            observation.cluster.clone(),
            observation.gone.clone(),
        );
        let addresses = observation.addresses.iter().filter(restores).cloned();
        others.addresses =
            addresses.map(|seen| ObservedAddress { missing: None, ..seen }).collect();
        plan(&others, now)
    }

    /// Starts the operations of the plan and of the collector.
    fn act(&mut self, observation: &Observation, now: Moment, effects: &mut Vec<Effect>) {
        let mut operations = plan(observation, now);
        operations.extend(self.beside_restores(observation, now));
        if operations.is_empty() {
            self.operations.forget_backoffs(now);
        }
        let address = |operation: &Operation| Some(self.observed.subject(operation)?.0);
        let planned = keys(&operations, address);
        // Between two re-asserts nothing is planned, but the address is still misplaced.
        let is_misplaced = |address: &Ipv4Addr| {
            observation
                .addresses
                .iter()
                .any(|s| s.record.address == *address && s.misplaced.is_some())
        };
        self.operations.retain_failures(|execution| {
            let (address, kind) = execution;
            planned.contains(execution)
                || (*kind == OperationKind::Reassert && is_misplaced(address))
        });
        operations.retain(|operation| !self.withholding.forbids(operation));
        operations.extend(self.leftovers.take_operations(&self.observed));
        for operation in operations {
            self.begin(operation, now, effects);
        }
    }

    /// Starts an operation, unless it must wait.
    fn begin(&mut self, operation: Operation, now: Moment, effects: &mut Vec<Effect>) {
        let Some((address, member)) = self.observed.subject(&operation) else { return };
        if self.operations.must_wait(&operation, address, now) {
            return;
        }
        effects.push(Effect::Report(Report::Started(operation.clone(), address, member.clone())));
        if let Operation::Reassert { .. } = operation {
            self.observed.reasserts(address, now);
        }
        effects.push(Effect::Start(Task::Execute(operation.clone(), address, member.clone())));
        let begun = self.kernel.reported().unwrap_or(now);
        self.operations.started(operation, address, member, begun);
    }

    /// Evicts a parked address if a pod needs its slot, one at a time.
    fn evict(&mut self, facts: &mut Facts, now: Moment, effects: &mut Vec<Effect>) {
        let runs = self.operations.runs(OperationKind::Evict);
        match self.evictions.step(facts, self.observed.local_pods(), now) {
            Eviction::Evict(operation) if !runs => self.begin(operation, now, effects),
            Eviction::None | Eviction::Evict(_) => {}
            Eviction::NotReserved(short) => effects.extend(short.into_iter().flat_map(|one| {
                let report = Effect::Report(Report::NotReserved(one.clone()));
                [report, Effect::Notify(Notice::NotReserved(one))]
            })),
        }
    }

    /// Sets links up that the operating system left unconfigured.
    fn raise_links(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Self { preflight, links, observed, .. } = self;
        let usable = |id: &_| {
            let mut own = preflight.verdicts().iter().filter(|one| one.eni == *id);
            own.any(|one| one.is_usable() && preflight.serves(one))
        };
        for eni in links.due(preflight.observed_links(), observed.enis(), usable, now) {
            effects.push(Effect::Report(Report::Raising(eni.id.clone(), eni.mac)));
            effects.push(Effect::Start(Task::Raise(eni)));
        }
    }

    /// Starts the next step of the interfaces that FireCamp makes.
    fn make_interfaces(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Self { managed, observed, preflight, .. } = self;
        let inputs = Inputs {
            cluster: observed.cluster(),
            node: observed.node(),
            identity: observed.identity(),
            described: preflight.described(),
            limits: preflight.limits(),
            vpc_cni: preflight.has_vpc_cni(),
        };
        effects.extend(managed.due(&inputs, now).map(Effect::Start));
    }

    fn counts(&self, observation: &Observation) -> Counts {
        let here = |seen: &&ObservedAddress| {
            seen.record
                .attachment
                .as_ref()
                .is_some_and(|a| a.node == observation.node && a.state == State::Attached)
        };
        let count = |which: &dyn Fn(&ObservedAddress) -> bool| {
            observation.addresses.iter().filter(here).filter(|seen| which(seen)).count()
        };
        Counts {
            attached: count(&|_| true),
            missing: count(&|seen| self.observed.is_missing(seen.record.address)),
            misplaced: count(&|seen| seen.misplaced.is_some()),
            blocks: self.preflight.blocking(),
            without_address: 0,
            observation_stale: false,
        }
    }
}
