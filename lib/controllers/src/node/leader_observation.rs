//! When the agent queries its interfaces in EC2 although nothing seems wrong: whether the leader's
//! list of the whole cluster covers them.
//!
//! The Lease publishes what the leader observes in EC2. Its age counts on the agent's own clock,
//! since the leader's counter last changed. While it is current, the agent queries only what the
//! leader names. While it is stale, the agents together start at most one such query a second. In
//! a file registry there is no Lease, and a leader of an earlier version publishes nothing: then
//! the agent's budget alone limits the queries.
//!
//! Guarantees: the observation is a reason for a query and authorises nothing. A throttled leader
//! is not gone: its counter grows. Caveats: an address that came to this node within
//! [`PROPAGATION`] is not queried for the leader, whose list may be older.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::CloudKind;
use firecamp_core::time::Moment;

use crate::leader::Ec2Observation;

/// How long the counter may stay the same: a list each minute, a pass that takes long, and the
/// change of the leader.
const STALE_AFTER: Duration = Duration::from_mins(5);
/// How old a list may be when an agent reads of it: the rest of its pass, 20 s until the renewal,
/// and 90 s between two reads of the Lease.
pub(super) const PROPAGATION: Duration = Duration::from_mins(3);
/// How long lists may only be throttled: each shows that there is a leader, and none what is lost.
const INCOMPLETE_AFTER: Duration = Duration::from_mins(15);
/// No cluster has more nodes, whatever the Lease says.
const NODES_MAX: u32 = 10_000;
/// The interval of the agent's own queries, where the number of nodes is not known.
const UNKNOWN_NODES: Duration = Duration::from_mins(20);
/// The interval of an agent's own queries, for each node of the cluster: all agents together send
/// 48 a minute. Some minutes have more by chance, and others query EC2 for volumes and moves.
const FOR_EACH_NODE: Duration = Duration::from_millis(1_250);
/// The shortest interval of the agent's own queries.
const SHORTEST: Duration = Duration::from_mins(1);
/// At most so many throttles in a row double the interval.
const DOUBLINGS_MAX: u32 = 3;
/// The random part of an interval, so that agents drift apart.
const SPREAD: f64 = 0.1;

/// What the agent knows from the Lease, and when it queries EC2 by itself.
#[derive(Debug, Default)]
pub(super) struct LeaderObservation {
    /// The Lease publishes observations, or its read failed: there may be a leader that lists EC2.
    has_lease: bool,
    last: Option<Ec2Observation>,
    /// When the leader's counter last changed.
    changed: Moment,
    /// When it last changed for a complete list.
    completed: Moment,
    /// The leader has named an address of this node, and no query has succeeded since.
    named: bool,
    /// When the agent's next own query is due, while there is a reason for one.
    due: Option<Moment>,
    /// The agent's queries that were throttled, in a row.
    throttles: u32,
}

impl LeaderObservation {
    /// The Lease was read; none if that failed or if it does not exist. `settled`: the addresses
    /// that this node has held for [`PROPAGATION`].
    pub(super) fn read(
        &mut self,
        read: Option<Ec2Observation>,
        settled: &BTreeSet<Ipv4Addr>,
        now: Moment,
    ) {
        if read.as_ref().is_some_and(|read| read.count == 0) {
            *self = Self::default();
            return;
        }
        if !std::mem::replace(&mut self.has_lease, true) {
            (self.changed, self.completed) = (now, now);
        }
        let Some(read) = read else { return };
        if self.last.as_ref().is_none_or(|last| last.count != read.count) {
            (self.changed, self.throttles) = (now, 0);
            self.completed = if read.throttled { self.completed } else { now };
            self.named |= !read.misplaced.is_disjoint(settled);
        }
        self.last = Some(read);
    }

    /// Whether the leader has named an address of this node, and EC2 has not throttled the query.
    pub(super) fn names_address(&self) -> bool {
        self.named && self.throttles == 0
    }

    /// The nodes of the cluster, or those of the largest if no leader has published their number;
    /// none where nothing is published.
    pub(super) fn nodes(&self) -> u32 {
        if self.has_lease { self.published_nodes().unwrap_or(NODES_MAX) } else { 0 }
    }

    fn published_nodes(&self) -> Option<u32> {
        let nodes = self.last.as_ref().map(|last| last.nodes.min(NODES_MAX));
        nodes.filter(|nodes| *nodes > 0)
    }

    /// Whether the leader has published nothing new for too long, or no complete list for longer.
    pub(super) fn is_stale(&self, now: Moment) -> bool {
        let is_silent = now.since(self.changed) >= STALE_AFTER;
        self.has_lease && (is_silent || now.since(self.completed) >= INCOMPLETE_AFTER)
    }

    /// Whether an own query of the agent is due. `holds`: the node holds an address. `incomplete`:
    /// there is another reason, which the leader does not see.
    pub(super) fn is_due(
        &mut self,
        (holds, incomplete): (bool, bool),
        random: f64,
        now: Moment,
    ) -> bool {
        if !self.has_lease {
            return holds || incomplete;
        }
        let is_wanted = incomplete || self.named || (holds && self.is_stale(now));
        if !is_wanted {
            self.due = None;
            return false;
        }
        let interval = self.interval();
        now >= *self.due.get_or_insert_with(|| now.plus(interval.mul_f64(random)))
    }

    /// A query has ended, with this failure if any, whatever its reason was.
    pub(super) fn queried(&mut self, failure: Option<CloudKind>, random: f64, now: Moment) {
        match failure {
            None => (self.named, self.throttles) = (false, 0),
            Some(CloudKind::Throttled) => self.throttles = self.throttles.saturating_add(1),
            Some(_) => {}
        }
        let pause = self.interval().mul_f64(1.0 + random * SPREAD);
        self.due = self.due.map(|_| now.plus(pause));
    }

    /// Longer with each node of the cluster, and with each throttle.
    fn interval(&self) -> Duration {
        let by_leader = self.last.as_ref().is_some_and(|last| last.throttled);
        let throttles = self.throttles + u32::from(by_leader);
        let of = |nodes| FOR_EACH_NODE.saturating_mul(nodes).max(SHORTEST);
        let interval = self.published_nodes().map_or(UNKNOWN_NODES, of);
        interval.saturating_mul(1 << throttles.min(DOUBLINGS_MAX))
    }
}
