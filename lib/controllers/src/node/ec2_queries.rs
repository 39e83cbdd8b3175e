//! Queries of EC2 about this instance, within the agent's budget.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::agent::{Budget, Ec2Query, Want};
use firecamp_core::contract::timing;
use firecamp_core::ids::EniId;
use firecamp_core::network_interface::Interface;
use firecamp_core::time::Moment;
use firecamp_node::volumes::intervals::wants_cloud;

use super::evict::Evictions;
use super::managed_interfaces::ManagedInterfaces;
use super::observed::Observed;
use super::preflight::Preflight;
use super::{Task, Tick};

/// Minimum extension of a period, because a call may be faster than the one before, and the
/// random part, so that agents spread their queries.
const STRETCH: (f64, f64) = (0.05, 0.2);

/// Retry interval of a failed query of the instance type.
const TYPE_RETRY: Duration = Duration::from_mins(10);

/// The queries of EC2.
#[derive(Debug)]
pub(super) struct Ec2Queries {
    budget: Budget,
    /// The last query of the interfaces failed.
    interfaces_fail: bool,
    /// The attached addresses by record when the running query started.
    running: Option<BTreeMap<Ipv4Addr, EniId>>,
}

impl Ec2Queries {
    /// The first query is due at a random time within one period, because the agents of many nodes
    /// may start together.
    pub(super) fn new(random: f64) -> Self {
        let budget = Budget::new(Moment(timing::EC2_PERIOD.mul_f64(random)));
        Self { budget, interfaces_fail: false, running: None }
    }

    /// The query to start now, if one is due.
    pub(super) fn due(
        &mut self,
        observed: &Observed,
        (preflight, managed, evictions): (&Preflight, &ManagedInterfaces, &Evictions),
        tick: Tick,
        now: Moment,
    ) -> Option<Task> {
        let identity = observed.identity()?;
        if self.running.is_some() {
            return None;
        }
        let first = managed.is_wanted_here() && preflight.described().is_none();
        let lacks_made = preflight.lacks_any(managed.made());
        if lacks_made {
            // The last query was too early for it, and its slots are offered only afterwards.
            self.budget.repeat(Ec2Query::Interfaces, now);
        }
        let undescribed = first || lacks_made || preflight.lacks_tags();
        let at_once = observed.has_unplaced() || undescribed;
        let mut wanted = self.others((preflight, evictions), tick, now);
        // EC2 is queried even if everything seems fine, because the metadata service may be frozen.
        wanted.insert(Ec2Query::Interfaces, if at_once { Want::Now } else { Want::Steady });
        let (least, spread) = STRETCH;
        let jitter = timing::EC2_PERIOD.mul_f64(least + tick.random * spread);
        let query = self.budget.grant(&wanted, now, jitter)?;
        self.running = Some(observed.held());
        let instance = identity.instance.clone();
        Some(match query {
            Ec2Query::Interfaces => Task::QueryInterfaces(instance),
            Ec2Query::Volumes => Task::QueryVolumes(instance),
            Ec2Query::InstanceType => Task::QueryTypeLimits(identity.instance_type.clone()),
            Ec2Query::Reservations => Task::QueryReservations(evictions.subnets().clone()),
        })
    }

    /// The wanted queries, except of the interfaces. While EC2 fails there are none: members depend
    /// on the interfaces.
    fn others(
        &self,
        (preflight, evictions): (&Preflight, &Evictions),
        tick: Tick,
        now: Moment,
    ) -> BTreeMap<Ec2Query, Want> {
        if self.interfaces_fail {
            return BTreeMap::new();
        }
        let since = |query| self.last_started(query).map(|at| now.since(at));
        let volumes = wants_cloud(since(Ec2Query::Volumes), now.0, tick.suspects_volumes);
        // The type never changes; without its limits the capacity of the node is unknown.
        let due = since(Ec2Query::InstanceType).is_none_or(|since| since >= TYPE_RETRY);
        let limits = (preflight.limits().is_none() && due).then_some(Want::Now);
        let others = [
            (Ec2Query::Volumes, volumes),
            (Ec2Query::InstanceType, limits),
            (Ec2Query::Reservations, evictions.wants(now)),
        ];
        others.into_iter().filter_map(|(query, want)| Some((query, want?))).collect()
    }

    /// When a query of this kind was last started.
    pub(super) fn last_started(&self, query: Ec2Query) -> Option<Moment> {
        self.budget.last_started(query)
    }

    /// A query has ended. Returns the attached addresses by record when it started.
    pub(super) fn ended(&mut self, well: bool) -> Option<BTreeMap<Ipv4Addr, EniId>> {
        self.budget.ended(well);
        self.running.take()
    }

    /// A query of the interfaces has ended; `listing` is none if it failed.
    pub(super) fn interfaces(
        &mut self,
        listing: Option<&[Interface]>,
        observed: &mut Observed,
        now: Moment,
    ) {
        self.interfaces_fail = listing.is_none();
        if let (Some(held), Some(listing)) = (self.ended(listing.is_some()), listing) {
            let queried = self.last_started(Ec2Query::Interfaces).unwrap_or(now);
            if let Some(again) = observed.listed_by_ec2(&held, listing, queried) {
                self.budget.repeat(Ec2Query::Interfaces, again);
            }
        }
    }
}
