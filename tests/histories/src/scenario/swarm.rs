//! Swarm testing: each history first draws which kinds of call faults are on. With all of them on,
//! no history would reach a state that needs two successful steps in a row.

use serde::{Deserialize, Serialize};

/// A fault of a single call, or of one of its lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Fault {
    /// A registry request fails and has no effect.
    RegistryFails,
    /// A registry write takes effect, and the answer is lost.
    RegistryLost,
    /// A registry request takes seconds; a write lands even if the caller has given up.
    RegistrySlow,
    /// EC2's token buckets are almost empty.
    CloudThrottled,
    /// EC2 answers 5xx; a mutation may have taken effect or not.
    CloudFails,
    /// An EC2 mutation takes effect, and the answer is lost.
    CloudLost,
    /// An EC2 mutation lands late, up to T after what authorised it.
    CloudLate,
    /// Outside A1: an EC2 mutation lands after T.
    CloudAfterDeadline,
    /// EC2 refuses the credentials for a moment.
    CloudDenied,
    /// Describe shows the state of seconds ago.
    DescribeStale,
    /// The data path takes seconds to switch.
    SwitchSlow,
    /// The metadata service is seconds behind.
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
    /// One of an agent's watches stalls while the other continues.
    WatchGap,
    /// An agent's watches go back in time.
    WatchBack,
    /// One of an agent's watches shows an empty list.
    WatchEmpty,
    /// The registry refuses a request: an expired token, a missing permission, a policy that denies
    /// it, a kind that is not served.
    RegistryRefuses,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 21] = [
        Self::RegistryFails,
        Self::RegistryLost,
        Self::RegistrySlow,
        Self::CloudThrottled,
        Self::CloudFails,
        Self::CloudLost,
        Self::CloudLate,
        Self::CloudAfterDeadline,
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

    /// The faults of an agent's watches. They are drawn separately, so that adding them did not
    /// change how the others are drawn.
    pub const WATCHES: [Self; 4] =
        [Self::WatchStale, Self::WatchGap, Self::WatchBack, Self::WatchEmpty];

    /// The faults that are drawn together.
    pub fn usual() -> impl Iterator<Item = Self> {
        let apart = |fault: &Self| *fault == Self::RegistryRefuses || Self::WATCHES.contains(fault);
        Self::ALL.into_iter().filter(move |fault| !apart(fault))
    }

    /// As an index.
    pub fn at(self) -> usize {
        self as usize
    }

    /// The highest rate in ten thousand calls: enough for coverage, and few enough for progress.
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
            Self::CloudAfterDeadline => 1_500,
            Self::RegistrySlow | Self::HostBusy => 300,
            Self::RegistryRefuses | Self::CloudDenied | Self::HostRefuses | Self::DiskFails => 150,
        }
    }
}

/// The rate of each kind of fault, in ten thousand matching calls.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Swarm {
    rates: [u16; Fault::ALL.len()],
}

impl Swarm {
    /// The rate of a fault.
    pub fn rate(&self, fault: Fault) -> u16 {
        self.rates[fault.at()]
    }

    /// The same with another rate.
    #[must_use]
    pub fn with(mut self, fault: Fault, rate: u16) -> Self {
        self.rates[fault.at()] = rate;
        self
    }

    /// No fault is on.
    pub fn is_calm(&self) -> bool {
        self.rates.iter().all(|rate| *rate == 0)
    }

    /// The kinds that are on.
    pub fn on(&self) -> impl Iterator<Item = Fault> {
        Fault::ALL.into_iter().filter(|fault| self.rate(*fault) > 0)
    }
}
