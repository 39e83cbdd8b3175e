//! Who holds the Lease: decided without comparing two machines' clocks.
//!
//! Guarantees: a holder counts its term from before it sent its last renewal, and everybody else
//! from when they first saw that renewal, each on its own monotonic clock; so a holder stops
//! acting before anybody can take the Lease from it. Every write names the version that was read.
//! Caveats: a process that is frozen and goes on where it was may act for a moment after its
//! term; whatever it does is guarded by versions and epochs all the same.

use std::time::Duration;

use firecamp_core::ids::Version;
use firecamp_core::time::Moment;

use crate::leader::timing;

/// A Lease longer than that is not believed: somebody's mistake must not stop us for ever.
const LONGEST: Duration = Duration::from_mins(10);

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LeaseSeen {
    /// Its version.
    pub version: Version,
    /// Who holds it; none if it was given back.
    pub holder: Option<String>,
    /// How long it counts after a renewal.
    pub duration: Duration,
    /// How often it changed hands.
    pub transitions: u32,
    /// When it was acquired, for people.
    pub acquired: Option<String>,
}

/// What a Lease is to say. The time of its renewal is the moment of writing, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Terms {
    /// Who holds it; none to give it back.
    pub holder: Option<String>,
    /// How long it counts.
    pub duration: Duration,
    /// How often it changed hands.
    pub transitions: u32,
    /// When it was acquired; none for the moment of writing.
    pub acquired: Option<String>,
}

/// A write of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum LeaseWrite {
    /// There is none yet.
    Create(Terms),
    /// Replace that version.
    Replace(Version, Terms),
}

/// Who would hold the Lease.
#[derive(Debug, Clone)]
pub struct Candidate {
    name: String,
    /// The version that was seen last, and when it was first seen.
    seen: Option<(Version, Moment)>,
    /// Before the last renewal that succeeded was sent.
    renewed: Option<Moment>,
}

impl Candidate {
    /// `name` is this process's alone.
    pub fn new(name: String) -> Self {
        Self { name, seen: None, renewed: None }
    }

    /// Whether it may act as the holder.
    pub fn holds(&self, now: Moment) -> bool {
        self.left(now).is_some()
    }

    /// How long it may act, unless it renews.
    pub fn left(&self, now: Moment) -> Option<Duration> {
        let left = timing::RENEW_DEADLINE.checked_sub(now.since(self.renewed?))?;
        (!left.is_zero()).then_some(left)
    }

    /// What to write after a fresh read that was answered now.
    pub fn decide(&mut self, read: Option<&LeaseSeen>, now: Moment) -> Option<LeaseWrite> {
        let Some(lease) = read else {
            self.renewed = None;
            return Some(LeaseWrite::Create(self.terms(0, None)));
        };
        let replace = |terms| Some(LeaseWrite::Replace(lease.version.clone(), terms));
        if lease.holder.as_ref() == Some(&self.name) {
            return replace(self.terms(lease.transitions, lease.acquired.clone()));
        }
        self.renewed = None;
        let since = match &self.seen {
            Some((version, since)) if *version == lease.version => *since,
            Some(_) | None => now,
        };
        self.seen = Some((lease.version.clone(), since));
        let term = lease.duration.clamp(timing::LEASE, LONGEST);
        let taken = lease.holder.is_some() && now.since(since) < term;
        if taken { None } else { replace(self.terms(lease.transitions.saturating_add(1), None)) }
    }

    /// The write that was sent at this moment has succeeded.
    pub fn renewed(&mut self, sent: Moment) {
        self.renewed = Some(sent);
    }

    /// The write was refused: somebody else was first.
    pub fn refused(&mut self) {
        self.renewed = None;
    }

    /// How to give it back, if it is ours by a fresh read.
    pub fn resign(&mut self, read: &LeaseSeen) -> Option<LeaseWrite> {
        self.renewed = None;
        let ours = read.holder.as_ref() == Some(&self.name);
        let terms = Terms { holder: None, ..self.terms(read.transitions, read.acquired.clone()) };
        ours.then(|| LeaseWrite::Replace(read.version.clone(), terms))
    }

    fn terms(&self, transitions: u32, acquired: Option<String>) -> Terms {
        let (holder, duration) = (Some(self.name.clone()), timing::LEASE);
        Terms { holder, duration, transitions, acquired }
    }
}
