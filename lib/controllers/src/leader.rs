//! Leader election, and what the leader does for the whole cluster: observe, plan, act, report.
//! There is no central controller: each agent is a candidate, and the Lease names the leader.
//!
//! * [`Event`]: ticks, changes of the cluster, and the results of the effects.
//! * [`LeaderController`]: the state machine, from the first read of the Lease to its release.
//! * [`Planner`]: plans [`Operation`]s from what the leader observes.
//! * [`Effect`]: reads and writes of the Lease, steps of a pass, and reports.
//!
//! Guarantees: an agent that is not the leader reads only the Lease, periodically. No operation
//! starts after the leadership term, and a running one stops between two steps. A plan depends only
//! on the observations of this and earlier passes. An object that could not be read never counts as
//! absent. An operation that removes something (a claim, an address, an attachment) is planned only
//! if its cause was observed in two passes and for a grace period. The executor reads the object
//! again and names the version that it read, so two leaders at once, or a late leader, break
//! nothing. Assumptions: A1, as for the core; each started step ends with its event. Caveats: after
//! a change of the leader all grace periods start over.

mod bound_condition;
mod cluster_cache;
mod ec2_list;
mod effect;
mod election;
mod event;
mod facts;
mod lease;
mod lost_nodes;
#[cfg(feature = "serde")]
mod map_as_pairs;
mod names;
mod operation_text;
mod pass;
mod persistent_findings;
mod planner;
mod pools;
mod ports;
mod reachability;
mod reclaim;
pub(crate) mod remove_interfaces;
mod retention;
mod round_robin;
mod seen_conditions;
mod shutdown;
mod term;
pub mod timing;
mod view;
mod volume_waits;
mod zone_gates;
mod zones;

use std::collections::BTreeMap;

use firecamp_core::ids::{ClusterName, NodeName, RunId};
use firecamp_core::time::Moment;

pub use cluster_cache::{ClusterEvent, ObjectEvent};
pub use ec2_list::Ec2Observation;
pub use effect::{Effect, PassStep, Report};
pub use election::RequestId;
pub use event::{Ec2Call, Event, StepResult};
pub use facts::Facts;
pub use lease::{Candidate, LeaseWrite, ObservedLease, Terms};
pub use lost_nodes::ReleaseReason;
pub use names::{
    AllowedZones, Endpoint, LookupAnswer, NamedService, NamesChange, NamesObject, NamesResult,
    NamesStep, NamespacedName, ObservedRecords, ObservedSlice, OwningService, ServicePort,
};
pub use planner::{DeletionReason, Operation, Planner, Site, UnassignReason};
pub use pools::{Usage, usage};
pub use ports::{Change, Cluster};
pub use reachability::{Call, Ec2Reachability};
pub use reclaim::is_orphan;
pub use retention::deletion_reason;
pub use seen_conditions::{ConditionChange, ConditionKind, SeenConditions};
pub use view::{
    BoundVolume, GatedPod, Identity, InterfaceAnswer, InterfaceQuery, NodeReadiness, ObservedClaim,
    ObservedNode, ObservedPod, ObservedPool, ObservedStaticIp, Owner, Queries, QueryResults,
    StatefulSet, View,
};
pub use volume_waits::without_volume_wait;
pub use zone_gates::{Contradiction, ZoneConflict, address_of};

use self::election::Election;
use self::shutdown::Shutdown;
use self::term::Term;
use crate::Controller;

/// The controller of an agent as candidate and leader.
#[derive(Debug)]
pub struct LeaderController {
    site: Site,
    /// The DNS zones of names; none if no names are kept.
    zones: Option<AllowedZones>,
    election: Election,
    /// The leadership term, until its last step has ended.
    term: Option<Term>,
    shutdown: Option<Shutdown>,
}

impl LeaderController {
    /// A candidate on this node. `run` is unique to this process.
    pub fn new(node: NodeName, cluster: ClusterName, run: &RunId) -> Self {
        let candidate = Candidate::new(format!("{node}_{run}"));
        Self {
            site: Site { node, cluster, subnets: BTreeMap::new() },
            zones: None,
            election: Election::new(candidate),
            term: None,
            shutdown: None,
        }
    }

    /// The same, keeping the names of members.
    #[must_use]
    pub fn with_names(self, zones: AllowedZones) -> Self {
        Self { zones: Some(zones), ..self }
    }

    fn tick(&mut self, random: f64, now: Moment, effects: &mut Vec<Effect>) {
        self.election.expire(now);
        self.end_term(now, effects);
        if self.may_start() {
            effects.extend(self.election.attempt(random, now));
            if let Some(term) = &mut self.term {
                let holds = self.election.holds(now);
                term.begin_pass(holds, now, effects);
                term.step_names(holds, now, effects);
            }
        }
    }

    /// Whether anything but the end of what runs may happen.
    fn may_start(&self) -> bool {
        self.shutdown.is_none() && self.term.as_ref().is_none_or(|term| !term.is_over())
    }

    fn begin_term(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.term.is_none() && self.shutdown.is_none() {
            self.term = Some(Term::new(self.site.clone(), self.zones.clone(), now));
            effects.extend([Effect::Report(Report::TermBegun), Effect::BeginTerm]);
        }
    }

    /// Ends the term if the Lease is lost. Once nothing of it runs any more, this agent is a
    /// candidate again.
    fn end_term(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let Some(term) = &mut self.term else { return };
        let (holds, is_waiting) = (self.election.holds(now), self.election.is_waiting());
        if !holds && !is_waiting {
            term.end(effects);
        }
        if !term.is_over() || term.is_busy() || is_waiting {
            return;
        }
        let is_unreachable = term.is_ec2_unreachable();
        self.term = None;
        self.election.term_ended(now);
        effects.push(Effect::Report(Report::TermEnded));
        if is_unreachable && holds && self.shutdown.is_none() {
            effects.push(Effect::Report(Report::Ec2Unreachable));
            effects.push(self.election.release(now));
        }
    }
}

impl Controller for LeaderController {
    type Event = Event;
    type Effect = Effect;

    fn handle(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Tick(random) => self.tick(random, now, &mut effects),
            Event::LeaseRead(id, read) => self.election.read(id, read, now, &mut effects),
            Event::LeaseWritten(id, written) => {
                if self.election.written(id, written, now, &mut effects) {
                    self.begin_term(now, &mut effects);
                }
            }
            Event::Cluster(event) => {
                if let Some(term) = &mut self.term {
                    term.observe(*event);
                }
            }
            Event::NamesStepEnded(result) => {
                if let Some(term) = &mut self.term {
                    term.names_ended(result, now);
                    if self.shutdown.is_none() {
                        term.step_names(self.election.holds(now), now, &mut effects);
                    }
                }
            }
            Event::StepEnded(result) => {
                if let Some(term) = &mut self.term {
                    term.step_ended(result, self.election.holds(now), now, &mut effects);
                    if let Some(answer) = term.take_answer() {
                        self.election.listed(answer);
                    }
                }
            }
        }
        self.end_term(now, &mut effects);
        self.shut_down(now, &mut effects);
        effects
    }

    fn next_tick(&self) -> Option<Moment> {
        if let Some(shutdown) = &self.shutdown {
            return shutdown.deadline();
        }
        let attempt = self.may_start().then(|| self.election.next_attempt()).flatten();
        let step = self.term.as_ref().and_then(Term::next_step);
        [attempt, step, self.election.expires()].into_iter().flatten().min()
    }

    fn stop(&mut self, now: Moment) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(term) = &mut self.term {
            term.end(&mut effects);
        }
        self.shutdown = Some(Shutdown::begin(now));
        self.end_term(now, &mut effects);
        self.shut_down(now, &mut effects);
        effects
    }

    fn is_idle(&self) -> bool {
        self.shutdown.is_some_and(Shutdown::is_complete)
    }
}
