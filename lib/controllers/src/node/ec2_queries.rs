//! Queries of EC2 about this instance, within the agent's budget.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Budget, Ec2Query, Want};
use firecamp_core::contract::timing;
use firecamp_core::failure::CloudKind;
use firecamp_core::ids::EniId;
use firecamp_core::network_interface::Interface;
use firecamp_core::time::Moment;
use firecamp_node::preflight::facts::Right;
use firecamp_node::volumes::intervals::{CLOUD_RARELY_PER_NODE, wants_cloud};

use super::evict::Evictions;
use super::leader_observation::{LeaderObservation, PROPAGATION};
use super::managed_interfaces::ManagedInterfaces;
use super::observed::Observed;
use super::preflight::Preflight;
use super::{Task, Tick};
use crate::leader::Ec2Observation;

/// Minimum extension of a period, because a call may be faster than the one before, and the
/// random part, so that agents spread their queries.
const STRETCH: (f64, f64) = (0.05, 0.2);

/// Longest retry interval of a failed query of the instance type, and that of a denied one: it
/// stays denied until a person has changed it.
const TYPE_RETRY: Duration = Duration::from_mins(10);

/// What the queries depend on beside the observations.
#[derive(Clone, Copy)]
pub(super) struct Others<'a> {
    pub(super) preflight: &'a Preflight,
    pub(super) managed: &'a ManagedInterfaces,
    pub(super) evictions: &'a Evictions,
}

/// The queries of EC2.
#[derive(Debug)]
pub(super) struct Ec2Queries {
    budget: Budget,
    leader: LeaderObservation,
    /// A number from zero to one, by which the periods of agents differ.
    place: f64,
    /// The last query of the interfaces failed.
    interfaces_fail: bool,
    /// The query that runs.
    running: Option<Running>,
    /// The ENIs that the metadata service listed when the last successful query of the interfaces
    /// started.
    listed: Option<BTreeSet<EniId>>,
}

/// A query, with what was known when it started.
#[derive(Debug)]
struct Running {
    /// The attached addresses by record.
    held: BTreeMap<Ipv4Addr, EniId>,
    /// The ENIs that the metadata service listed.
    listed: BTreeSet<EniId>,
    random: f64,
}

impl Ec2Queries {
    /// The first query is due at a random time within one period, because the agents of many nodes
    /// may start together.
    pub(super) fn new(random: f64) -> Self {
        let budget = Budget::new(Moment(timing::EC2_PERIOD.mul_f64(random)));
        let leader = LeaderObservation::default();
        let place = random;
        Self { budget, leader, place, interfaces_fail: false, running: None, listed: None }
    }

    /// The Lease was read; none if that failed or if it does not exist.
    pub(super) fn lease_read(
        &mut self,
        read: Option<Ec2Observation>,
        observed: &Observed,
        now: Moment,
    ) {
        self.leader.read(read, &observed.settled(PROPAGATION, now), now);
    }

    /// Whether the leader's observation of EC2 is stale.
    pub(super) fn is_observation_stale(&self, now: Moment) -> bool {
        self.leader.is_stale(now)
    }

    /// The query to start now, if one is due.
    pub(super) fn due(
        &mut self,
        observed: &Observed,
        others: Others<'_>,
        tick: Tick,
        now: Moment,
    ) -> Option<Task> {
        let identity = observed.identity()?;
        if self.running.is_some() {
            return None;
        }
        let interfaces = self.interfaces_wanted(observed, others, tick.random, now);
        let mut wanted = BTreeMap::new();
        // While EC2 fails there are no others: members depend on the interfaces.
        if interfaces.is_none() || !self.interfaces_fail {
            wanted = self.others_wanted(others, tick, now);
        }
        wanted.extend(interfaces.map(|want| (Ec2Query::Interfaces, want)));
        let (least, spread) = STRETCH;
        let jitter = timing::EC2_PERIOD.mul_f64(least + tick.random * spread);
        let query = self.budget.grant(&wanted, now, jitter)?;
        let (held, listed) = (observed.held(), observed.eni_ids());
        self.running = Some(Running { held, listed, random: tick.random });
        let instance = identity.instance.clone();
        Some(match query {
            Ec2Query::Interfaces => Task::QueryInterfaces(instance),
            Ec2Query::Volumes => Task::QueryVolumes(instance),
            Ec2Query::InstanceType => Task::QueryTypeLimits(identity.instance_type.clone()),
            Ec2Query::Reservations => Task::QueryReservations(others.evictions.subnets().clone()),
        })
    }

    /// Whether the interfaces are to be queried. At rest the leader's list covers them, or nothing
    /// depends on them.
    fn interfaces_wanted(
        &mut self,
        observed: &Observed,
        Others { preflight, managed, .. }: Others<'_>,
        random: f64,
        now: Moment,
    ) -> Option<Want> {
        let first = preflight.described().is_none();
        if preflight.lacks_any(managed.made()) {
            // The last query was too early for it, and its slots are offered only afterwards. For
            // the interfaces of others the single repeat is not used up.
            self.budget.repeat(Ec2Query::Interfaces, now);
        }
        let undescribed = (first && managed.is_wanted_here())
            || preflight.lacks_any(managed.made())
            || preflight.lacks_tags();
        let changed = self.listed.as_ref().is_some_and(|listed| *listed != observed.eni_ids());
        // Each time, because it also notes since when there is a reason.
        let incomplete =
            preflight.is_half_tagged() || observed.awaits_adoption(&preflight.usable());
        let due = self.leader.is_due((observed.holds_any(), incomplete), random, now);
        if observed.has_unplaced() || undescribed || changed || self.leader.names_address() {
            return Some(Want::Now);
        }
        (first || due || preflight.lacks_listed()).then_some(Want::Steady)
    }

    /// The wanted queries, except of the interfaces.
    fn others_wanted(
        &self,
        Others { preflight, evictions, .. }: Others<'_>,
        tick: Tick,
        now: Moment,
    ) -> BTreeMap<Ec2Query, Want> {
        let since = |query| self.last_started(query).map(|at| now.since(at));
        let recheck = preflight.recheck(tick.volumes);
        let volumes = wants_cloud(since(Ec2Query::Volumes), now.0, (recheck, self.rarely()));
        // The type never changes; without its limits the capacity of the node is unknown.
        let limits = match since(Ec2Query::InstanceType) {
            _ if preflight.limits().is_some() => None,
            None => Some(Want::Now),
            Some(since) if since >= TYPE_RETRY => Some(Want::Now),
            Some(_) if preflight.is_denied(Right::DescribeInstanceTypes) => None,
            Some(_) => Some(Want::Steady),
        };
        let others = [
            (Ec2Query::Volumes, volumes),
            (Ec2Query::InstanceType, limits),
            (Ec2Query::Reservations, evictions.wants(now)),
        ];
        others.into_iter().filter_map(|(query, want)| Some((query, want?))).collect()
    }

    /// How often this agent asks for settled volumes: agents that start together spread.
    fn rarely(&self) -> Duration {
        CLOUD_RARELY_PER_NODE.saturating_mul(self.leader.nodes()).mul_f64(0.5 + self.place)
    }

    /// When a query of this kind was last started.
    pub(super) fn last_started(&self, query: Ec2Query) -> Option<Moment> {
        self.budget.last_started(query)
    }

    /// A query other than of the interfaces has ended.
    pub(super) fn ended(&mut self, well: bool) {
        self.budget.ended(well);
        self.running = None;
    }

    /// A query of the interfaces has ended.
    pub(super) fn interfaces(
        &mut self,
        read: Result<&[Interface], CloudKind>,
        observed: &mut Observed,
        now: Moment,
    ) {
        self.interfaces_fail = read.is_err();
        self.budget.ended(read.is_ok());
        let Some(Running { held, listed, random }) = self.running.take() else { return };
        self.leader.queried(read.err(), random, now);
        let Ok(listing) = read else { return };
        self.listed = Some(listed);
        let queried = self.last_started(Ec2Query::Interfaces).unwrap_or(now);
        if let Some(again) = observed.listed_by_ec2(&held, listing, queried) {
            self.budget.repeat(Ec2Query::Interfaces, again);
        }
    }
}
