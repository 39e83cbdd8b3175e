//! One leadership term: a cache of the cluster, and passes over it, one after the other. Gated pods
//! do not wait for the next pass over the whole cluster: a change of them begins one of their own.
//!
//! Guarantees: no step starts after the term, and no operation without the Lease. The cache may
//! change during a pass: the queries, the plan and each operation use its current content.

use std::time::Duration;

use firecamp_core::failure::CloudKind;
use firecamp_core::managed_interface::DescribedInterface;
use firecamp_core::node_identity::Eni;
use firecamp_core::time::Moment;

use super::cluster_cache::ClusterCache;
use super::ec2_list::{Ec2Lists, ListAnswer};
use super::names::{AllowedZones, Names, NamesResult};
use super::pass::{Pass, PlannedOperations, RunningQueries, Scope};
use super::{
    Call, ClusterEvent, Ec2Call, Ec2Reachability, Effect, Facts, ObjectEvent, PassStep, Planner,
    Report, Site, StepResult, timing, usage,
};

/// Poll interval until everything is listed and the first pass can start.
const FIRST_PASS_POLL: Duration = Duration::from_secs(1);

/// The state of a term.
#[derive(Debug)]
pub(super) struct Term {
    site: Site,
    cache: ClusterCache,
    planner: Planner,
    reachability: Ec2Reachability,
    lists: Ec2Lists,
    /// Names of members, if they are kept.
    names: Option<Names>,
    /// The running pass.
    pass: Option<Pass>,
    /// When the next pass of the whole cluster is due, and when the last one began.
    next_pass: Moment,
    pass_begun: Moment,
    /// A gated pod, or a claim while there is one, has changed since the last pass looked.
    gates_changed: bool,
    is_over: bool,
}

impl Term {
    pub(super) fn new(site: Site, zones: Option<AllowedZones>, now: Moment) -> Self {
        let names = zones.map(|zones| Names::new(zones, site.cluster.clone(), now));
        Self {
            names,
            site,
            cache: ClusterCache::default(),
            planner: Planner::default(),
            reachability: Ec2Reachability::default(),
            lists: Ec2Lists::new(now),
            pass: None,
            next_pass: now,
            pass_begun: now,
            gates_changed: false,
            is_over: false,
        }
    }

    /// Ends the term. Its running step may still end.
    pub(super) fn end(&mut self, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.is_over, true) {
            effects.push(Effect::EndTerm);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether a step of a pass or of names runs.
    pub(super) fn is_busy(&self) -> bool {
        self.pass.is_some() || self.names.as_ref().is_some_and(Names::is_busy)
    }

    pub(super) fn is_ec2_unreachable(&self) -> bool {
        self.reachability.is_unreachable()
    }

    /// The answer of EC2 to the last list, once.
    pub(super) fn take_answer(&mut self) -> Option<ListAnswer> {
        self.lists.take_answer()
    }

    /// When the next pass is due, or the next step of names.
    pub(super) fn next_step(&self) -> Option<Moment> {
        let at_once = self.gates_changed && self.cache.view().is_some();
        let due = if at_once { Moment::default() } else { self.next_pass };
        let pass = self.pass.is_none().then_some(due);
        let names = self.names.as_ref().and_then(Names::next);
        pass.into_iter().chain(names).min().filter(|_| !self.is_over)
    }

    /// Whether a pass may begin.
    fn is_due(&self, now: Moment) -> bool {
        let at_once = self.gates_changed && self.cache.view().is_some();
        !self.is_over && self.pass.is_none() && (at_once || self.next_pass <= now)
    }

    pub(super) fn observe(&mut self, event: ClusterEvent) {
        if let Some(names) = &mut self.names {
            names.observe(&event, self.cache.content());
        }
        let concerns_gates = self.concerns_gates(&event);
        self.cache.apply(event);
        self.gates_changed |= concerns_gates && !self.cache.content().gated_pods.is_empty();
    }

    /// Whether gated pods may depend on the event. Of a list only its end counts, so that one of
    /// tens of thousands of claims does not begin a pass for each.
    fn concerns_gates(&self, event: &ClusterEvent) -> bool {
        if let ClusterEvent::GatedPods(ObjectEvent::Deleted(member)) = event {
            return self.cache.content().gated_pods.contains_key(member);
        }
        let listing = matches!(
            event,
            ClusterEvent::GatedPods(ObjectEvent::ListBegins | ObjectEvent::Listing(..))
                | ClusterEvent::Claims(ObjectEvent::ListBegins | ObjectEvent::Listing(..))
        );
        !listing && matches!(event, ClusterEvent::GatedPods(_) | ClusterEvent::Claims(_))
    }

    /// Begins a pass if one is due and everything is listed.
    pub(super) fn begin_pass(&mut self, holds: bool, now: Moment, effects: &mut Vec<Effect>) {
        if !self.is_due(now) {
            return;
        }
        if now < self.next_pass {
            self.ask(Scope::GatedPods, holds, now, effects);
        } else if self.cache.view().is_some() {
            self.pass_begun = now;
            self.start(Pass::Identifying, PassStep::Identify, effects);
        } else {
            self.next_pass = now.plus(FIRST_PASS_POLL);
        }
    }

    /// The running step of the pass has ended. Starts the next one if the term is not over.
    pub(super) fn step_ended(
        &mut self,
        result: StepResult,
        holds: bool,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(pass) = self.pass.take() else { return };
        if self.is_over {
            return;
        }
        match (pass, result) {
            (Pass::Identifying, StepResult::Identified(identity)) => {
                // A failed read keeps the subnets.
                if let Some(identity) = identity {
                    let subnet = |eni: Eni| (eni.subnet, eni.cidr);
                    self.site.subnets = identity.enis.into_iter().map(subnet).collect();
                }
                self.ask(Scope::Cluster, holds, now, effects);
            }
            (Pass::Listing, StepResult::InterfacesListed(answer)) => {
                self.listed(answer.as_ref().map(|read| read.as_deref().map_err(|kind| *kind)));
                self.end_pass(Scope::Cluster, now, effects);
            }
            (Pass::Querying(mut queries), StepResult::OwnerRead(answer)) => {
                if let Some(answer) = &answer {
                    self.reachability.ended(Call::Read, answer.as_ref().err().copied());
                }
                queries.owner_read(answer.and_then(Result::ok));
                self.query(*queries, holds, now, effects);
            }
            (Pass::Querying(mut queries), StepResult::PodRead(pod)) => {
                queries.pod_read(pod);
                self.query(*queries, holds, now, effects);
            }
            (Pass::Querying(mut queries), StepResult::InterfaceQueried(answer)) => {
                queries.interface_queried(answer);
                self.query(*queries, holds, now, effects);
            }
            (Pass::Querying(mut queries), StepResult::VolumesRead(volumes)) => {
                queries.volumes_read(volumes);
                self.query(*queries, holds, now, effects);
            }
            (Pass::Performing(operations), StepResult::Performed(calls)) => {
                self.record(&calls, operations.started());
                self.perform(operations, holds, now, effects);
            }
            // Nobody has started it.
            (pass, _result) => self.pass = Some(pass),
        }
    }

    /// Starts a step of names if one is due, beside the pass.
    pub(super) fn step_names(&mut self, holds: bool, now: Moment, effects: &mut Vec<Effect>) {
        if let Some(names) = self.names.as_mut().filter(|_| !self.is_over) {
            names.step(&self.cache, holds, now, effects);
        }
    }

    /// A running step of names has ended.
    pub(super) fn names_ended(&mut self, result: NamesResult, now: Moment) {
        if let Some(names) = &mut self.names {
            names.ended(result, self.cache.content(), now);
        }
    }

    /// The list has ended; none without an answer.
    fn listed(&mut self, answer: Option<Result<&[DescribedInterface], CloudKind>>) {
        let Some(answer) = answer else { return };
        self.reachability.ended(Call::Read, answer.err());
        // A view without the leader's own node is not this cluster's.
        let view = self.cache.view().filter(|view| view.nodes.contains_key(&self.site.node));
        self.lists.ended(answer, view);
    }

    /// Asks the planner which queries the pass runs.
    fn ask(&mut self, scope: Scope, holds: bool, now: Moment, effects: &mut Vec<Effect>) {
        let Some(view) = self.cache.view() else { return self.end_pass(scope, now, effects) };
        self.gates_changed = false;
        let queries = match scope {
            Scope::Cluster => {
                effects.push(Effect::Report(Report::Pools(usage(view))));
                self.planner.ask(view, &self.site)
            }
            Scope::GatedPods => self.planner.ask_gates(view, &self.site),
        };
        let queries = RunningQueries::new(scope, queries, view, now);
        self.query(queries, holds, now, effects);
    }

    /// Starts the next query; after the last one, plans.
    fn query(
        &mut self,
        mut queries: RunningQueries,
        holds: bool,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(step) = queries.next(now) {
            if let PassStep::ReadOwner(..) = step {
                self.reachability.sent(Call::Read, now);
            }
            return self.start(Pass::Querying(Box::new(queries)), step, effects);
        }
        let scope = queries.scope();
        let Some(view) = self.cache.view() else { return self.end_pass(scope, now, effects) };
        let operations = match scope {
            Scope::Cluster => self.planner.plan(view, &self.site, queries.results(), now),
            Scope::GatedPods => self.planner.plan_gates(view, &self.site, queries.results(), now),
        };
        self.perform(queries.planned(operations), holds, now, effects);
    }

    /// Starts the next operation. If the API server or EC2 is slow, urgent operations do not wait
    /// for the others: the next pass plans them again.
    fn perform(
        &mut self,
        mut operations: PlannedOperations,
        holds: bool,
        now: Moment,
        effects: &mut Vec<Effect>,
    ) {
        let scope = operations.scope();
        let next = if holds { operations.next(now) } else { None };
        let Some(operation) = next else { return self.end_pass(scope, now, effects) };
        if operations.is_overdue(now) {
            effects.push(Effect::Report(Report::PassOverdue(Box::new(operation))));
            return self.end_pass(scope, now, effects);
        }
        let facts = Facts::of(&operation, self.cache.content());
        let step = PassStep::Perform(Box::new(operation), Box::new(facts));
        self.start(Pass::Performing(operations), step, effects);
    }

    fn start(&mut self, pass: Pass, step: PassStep, effects: &mut Vec<Effect>) {
        self.pass = Some(pass);
        effects.push(Effect::Start(step));
    }

    /// Ends the pass, and the term if EC2 does not answer this agent. The list of the interfaces,
    /// if it is due, is its last step: it must not delay what is more urgent.
    fn end_pass(&mut self, scope: Scope, now: Moment, effects: &mut Vec<Effect>) {
        if scope == Scope::Cluster && self.lists.starts(now) {
            self.reachability.sent(Call::Read, now);
            return self.start(Pass::Listing, PassStep::ListInterfaces, effects);
        }
        if scope == Scope::Cluster {
            self.next_pass = now.plus(timing::PASS_EVERY);
            effects.push(Effect::Report(Report::PassEnded(now.since(self.pass_begun))));
        }
        if self.is_ec2_unreachable() {
            self.end(effects);
        }
    }

    /// Records the calls of an operation that started then.
    fn record(&mut self, calls: &[Ec2Call], started: Moment) {
        for call in calls {
            match *call {
                Ec2Call::Sent(call, after) => self.reachability.sent(call, started.plus(after)),
                Ec2Call::Ended(call, failure) => self.reachability.ended(call, failure),
            }
        }
    }
}
