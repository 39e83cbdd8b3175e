//! Faults of single calls. Each history first draws which kinds are on at all: a history in which
//! everything breaks all the time reaches nothing that takes two good steps in a row.

use serde::{Deserialize, Serialize};

/// A way in which a single call, or one of its lags, goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// A registry request fails and has no effect.
    RegistryFails,
    /// A registry write has its effect, and the answer is lost.
    RegistryLost,
    /// A registry request takes seconds; a write that was given up lands all the same.
    RegistrySlow,
    /// EC2's token buckets are almost empty.
    CloudThrottled,
    /// EC2 answers 5xx; a mutation may have taken effect or not.
    CloudFails,
    /// An EC2 mutation has its effect, and the answer is lost.
    CloudLost,
    /// An EC2 mutation lands late, up to T after what authorised it.
    CloudLate,
    /// Outside A1: an EC2 mutation lands after T.
    CloudOutside,
    /// EC2 refuses the credentials for a moment.
    CloudDenied,
    /// Describe shows what was seconds ago.
    DescribeStale,
    /// The data path takes seconds to follow.
    SwitchSlow,
    /// The metadata service follows seconds later.
    MetadataSlow,
    /// The metadata service does not answer.
    MetadataFails,
    /// The node-local lock is busy.
    HostBusy,
    /// The kernel refuses.
    HostRefuses,
    /// The member's volume fails.
    DiskFails,
    /// An agent's watches lag.
    WatchStale,
    /// One of an agent's watches stands still while the other goes on.
    WatchGap,
    /// An agent's watches show what is older than what they showed before.
    WatchBack,
    /// One of an agent's watches shows an empty list.
    WatchEmpty,
    /// The registry refuses a request: a token that is not valid any more, a right that is gone, a
    /// policy that denies it, a kind that is not served.
    RegistryRefuses,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::RegistryFails,
        Self::RegistryLost,
        Self::RegistrySlow,
        Self::CloudThrottled,
        Self::CloudFails,
        Self::CloudLost,
        Self::CloudLate,
        Self::CloudOutside,
        Self::CloudDenied,
        Self::DescribeStale,
        Self::SwitchSlow,
        Self::MetadataSlow,
        Self::MetadataFails,
        Self::HostBusy,
        Self::HostRefuses,
        Self::DiskFails,
        Self::WatchStale,
        Self::WatchGap,
        Self::WatchBack,
        Self::WatchEmpty,
        Self::RegistryRefuses,
    ];

    /// What breaks only what an agent sees. They are drawn apart from the others, which they leave
    /// as they were drawn before there were any.
    pub const WATCHES: [Self; 4] =
        [Self::WatchStale, Self::WatchGap, Self::WatchBack, Self::WatchEmpty];

    /// What is drawn with all the others.
    pub fn usual() -> impl Iterator<Item = Self> {
        let apart = |fault: &Self| *fault == Self::RegistryRefuses || Self::WATCHES.contains(fault);
        Self::ALL.into_iter().filter(move |fault| !apart(fault))
    }

    /// As an index.
    pub fn at(self) -> usize {
        self as usize
    }

    /// The most of ten thousand calls that break so: enough to be met, not enough to stop all.
    pub(super) fn most(self) -> u64 {
        match self {
            Self::RegistryFails | Self::RegistryLost | Self::MetadataFails => 600,
            Self::CloudThrottled => 10_000,
            Self::CloudFails | Self::CloudLost | Self::CloudLate => 3_000,
            Self::DescribeStale
            | Self::SwitchSlow
            | Self::MetadataSlow
            | Self::WatchStale
            | Self::WatchGap
            | Self::WatchBack
            | Self::WatchEmpty => 5_000,
            Self::CloudOutside => 1_500,
            Self::RegistrySlow | Self::HostBusy => 300,
            Self::RegistryRefuses | Self::CloudDenied | Self::HostRefuses | Self::DiskFails => 150,
        }
    }
}

/// How often each kind of fault fires, in ten thousand calls that it fits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Swarm {
    rates: [u16; Fault::ALL.len()],
}

impl Swarm {
    /// How often this one fires.
    pub fn rate(&self, fault: Fault) -> u16 {
        self.rates[fault.at()]
    }

    /// The same with another rate.
    #[must_use]
    pub fn with(mut self, fault: Fault, rate: u16) -> Self {
        self.rates[fault.at()] = rate;
        self
    }

    /// Nothing breaks.
    pub fn is_calm(&self) -> bool {
        self.rates.iter().all(|rate| *rate == 0)
    }

    /// The kinds that are on.
    pub fn on(&self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(|fault| self.rate(*fault) > 0)
    }
}
