//! Leader election by a Lease, without comparing the clocks of two machines.
//!
//! Guarantees: the leader counts its term from before it sent its last renewal, and the other
//! candidates count from when they first observed that renewal, each on its own monotonic clock. So
//! the leader stops acting before another candidate can acquire the Lease. Every write names the
//! version that was read. Caveats: a process that was frozen may act for a moment after its term;
//! versions and epochs guard whatever it does.

use std::time::Duration;

use firecamp_core::ids::Version;
use firecamp_core::time::Moment;

use super::ec2_list::{Ec2Observation, ListAnswer};
use crate::leader::timing;

/// A longer lease duration is capped: a wrong value must not block the election for ever.
const LONGEST: Duration = Duration::from_mins(10);

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ObservedLease {
    /// Its version.
    pub version: Version,
    /// The holder; none if the Lease was released.
    pub holder: Option<String>,
    /// How long it is valid after a renewal.
    pub duration: Duration,
    /// The number of changes of the holder.
    pub transitions: u32,
    /// When it was acquired, for display.
    pub acquired: Option<String>,
    /// What a leader has observed in EC2.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "Ec2Observation::is_empty")
    )]
    pub ec2: Ec2Observation,
}

/// The content of a Lease to write. The renewal time is the time of the write, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Terms {
    /// The holder; none to release it.
    pub holder: Option<String>,
    /// How long it is valid.
    pub duration: Duration,
    /// The number of changes of the holder.
    pub transitions: u32,
    /// When it was acquired; none for the time of the write.
    pub acquired: Option<String>,
    /// What this leader, or the one before, has observed in EC2.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Ec2Observation::is_empty"))]
    pub ec2: Ec2Observation,
}

/// A write of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum LeaseWrite {
    /// Create the Lease.
    Create(Terms),
    /// Replace this version of the Lease.
    Replace(Version, Terms),
}

/// A process that may become the leader.
#[derive(Debug, Clone)]
pub struct Candidate {
    name: String,
    /// The version that was observed last, and when it was first observed.
    observed: Option<(Version, Moment)>,
    /// The time before the last successful renewal was sent.
    renewed: Option<Moment>,
    /// What the next write publishes: a new leader counts on from the last one.
    ec2: Ec2Observation,
}

impl Candidate {
    /// `name` must be unique to this process.
    pub fn new(name: String) -> Self {
        Self { name, observed: None, renewed: None, ec2: Ec2Observation::default() }
    }

    /// EC2 has answered a list of this leader.
    pub(super) fn listed(&mut self, answer: ListAnswer) {
        self.ec2.answered(answer);
    }

    /// Whether it may act as the leader.
    pub fn holds(&self, now: Moment) -> bool {
        self.left(now).is_some()
    }

    /// How long it may still act without a renewal.
    pub fn left(&self, now: Moment) -> Option<Duration> {
        let left = timing::RENEW_DEADLINE.checked_sub(now.since(self.renewed?))?;
        (!left.is_zero()).then_some(left)
    }

    /// The write that follows from a read of the Lease that returned now.
    pub fn decide(&mut self, read: Option<&ObservedLease>, now: Moment) -> Option<LeaseWrite> {
        let Some(lease) = read else {
            self.renewed = None;
            return Some(LeaseWrite::Create(self.terms(0, None)));
        };
        let replace = |terms| Some(LeaseWrite::Replace(lease.version.clone(), terms));
        if lease.holder.as_ref() == Some(&self.name) {
            return replace(self.terms(lease.transitions, lease.acquired.clone()));
        }
        self.renewed = None;
        self.ec2.clone_from(&lease.ec2);
        let since = match &self.observed {
            Some((version, since)) if *version == lease.version => *since,
            Some(_) | None => now,
        };
        self.observed = Some((lease.version.clone(), since));
        let term = lease.duration.clamp(timing::LEASE, LONGEST);
        let taken = lease.holder.is_some() && now.since(since) < term;
        if taken { None } else { replace(self.terms(lease.transitions.saturating_add(1), None)) }
    }

    /// The write that was sent at this time succeeded.
    pub fn renewed(&mut self, sent: Moment) {
        self.renewed = Some(sent);
    }

    /// The write was rejected: another candidate was first.
    pub fn refused(&mut self) {
        self.renewed = None;
    }

    /// The write that releases the Lease, if this process holds it.
    pub fn resign(&mut self, read: &ObservedLease) -> Option<LeaseWrite> {
        self.renewed = None;
        let ours = read.holder.as_ref() == Some(&self.name);
        let terms = Terms { holder: None, ..self.terms(read.transitions, read.acquired.clone()) };
        ours.then(|| LeaseWrite::Replace(read.version.clone(), terms))
    }

    fn terms(&self, transitions: u32, acquired: Option<String>) -> Terms {
        let (holder, duration) = (Some(self.name.clone()), timing::LEASE);
        Terms { holder, duration, transitions, acquired, ec2: self.ec2.clone() }
    }
}
