//! What happens to the volumes of a node: drawn from a seed, as plain data.

use crate::seed::{Purpose, SeededRng};
use firecamp_node::volumes::Reason;
use firecamp_node::volumes::observation::AttachmentState;

/// The index of a volume. 0 is the root volume.
pub type Ix = u8;

/// A fault of a single read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The list of devices cannot be read.
    DevicesFail,
    /// The list of mounts cannot be read, or not completely.
    MountsFail,
    /// A filesystem does not report its space.
    SpaceFails,
    /// The kernel's notification of a change is lost.
    NoticeLost,
    /// EC2 answers 5xx.
    CloudFails,
    /// EC2 throttles.
    CloudThrottled,
    /// EC2 shows the state of up to half a minute ago.
    CloudStale,
    /// EC2's answer takes seconds.
    CloudLate,
    /// A query of Kubernetes fails.
    ClusterFails,
    /// A query of Kubernetes shows pods that are older than the rest.
    ClusterTorn,
    /// A write fails without effect.
    StatusWriterFails,
    /// A write takes effect, and its answer is lost.
    StatusWriterLost,
    /// A concurrent write causes a conflict.
    StatusWriterConflicts,
    /// A write is refused.
    StatusWriterRefuses,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 14] = [
        Self::DevicesFail,
        Self::MountsFail,
        Self::SpaceFails,
        Self::NoticeLost,
        Self::CloudFails,
        Self::CloudThrottled,
        Self::CloudStale,
        Self::CloudLate,
        Self::ClusterFails,
        Self::ClusterTorn,
        Self::StatusWriterFails,
        Self::StatusWriterLost,
        Self::StatusWriterConflicts,
        Self::StatusWriterRefuses,
    ];
}

/// A source that is unavailable for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// sysfs hangs.
    Devices,
    /// The mount table cannot be read.
    Mounts,
    /// EC2.
    Cloud,
    /// The Kubernetes API, for reads and writes.
    Api,
}

impl Source {
    /// All sources.
    pub const ALL: [Self; 4] = [Self::Devices, Self::Mounts, Self::Cloud, Self::Api];
}

/// An injected problem of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InjectedProblem {
    /// The reason that the agent must report.
    pub reason: Reason,
    /// The problem is on another instance, which has the volume.
    pub elsewhere: bool,
}

impl InjectedProblem {
    /// The EC2 state in which the problem keeps the volume.
    pub fn state(self) -> Option<AttachmentState> {
        let states = [
            (Reason::StuckAttaching, AttachmentState::Attaching),
            (Reason::StuckDetaching, AttachmentState::Detaching),
            (Reason::Busy, AttachmentState::Busy),
        ];
        states.into_iter().find(|(reason, _)| *reason == self.reason).map(|(_, state)| state)
    }
}

/// A disruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disruption {
    /// The pod of a volume is wanted here.
    Start(Ix),
    /// It is no longer wanted here.
    Stop(Ix),
    /// The problem begins.
    Break(Ix, InjectedProblem),
    /// The problem is repaired.
    Mend(Ix),
    /// A source becomes unavailable.
    Away(Source),
    /// It is available again.
    Back(Source),
    /// The agent restarts.
    Restart,
}

/// A disruption and its second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    /// When.
    pub second: u64,
    /// The disruption.
    pub disruption: Disruption,
}

/// The initial state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// EBS volumes that pods claim: 2 to 4.
    pub data: u8,
    /// One more pod claims an NFS export.
    pub nfs: bool,
    /// Devices have no serials.
    pub xen: bool,
}

impl Shape {
    /// The index of the NFS volume.
    pub fn export(self) -> Ix {
        self.data + 1
    }

    /// The index of the volume without a persistent volume.
    pub fn orphan(self) -> Ix {
        self.data + 2
    }
}

/// One scenario.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The node.
    pub shape: Shape,
    /// The rate of each fault, in ten thousand.
    pub rates: [u16; Fault::ALL.len()],
    /// The disruptions, in order.
    pub script: Vec<At>,
    /// From this second on there are no disruptions and no faults.
    pub heal_at: u64,
}

impl Scenario {
    /// The rate of a fault.
    pub fn rate(&self, fault: Fault) -> u16 {
        self.rates[fault as usize]
    }

    /// All sources are available and correct.
    pub fn is_calm(&self) -> bool {
        let quiet = |at: &At| !matches!(at.disruption, Disruption::Away(_) | Disruption::Restart);
        self.rates.iter().all(|rate| *rate == 0) && self.script.iter().all(quiet)
    }

    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed, Purpose::Volumes, 0);
        let shape = Shape { data: 2 + rng.small(3), nfs: rng.once_in(2), xen: rng.once_in(8) };
        let heal_at = 900 + rng.below(900);
        let calm = rng.once_in(5);
        let mut rates = [0; Fault::ALL.len()];
        for rate in rates.iter_mut().filter(|_| !calm) {
            let most = if rng.once_in(4) { 5_000 } else { 1_000 };
            if rng.once_in(2) {
                *rate = u16::try_from(1 + rng.below(most)).unwrap_or_default();
            }
        }
        let mut drawing = Drawing { rng, shape, heal_at, script: Vec::new() };
        drawing.pods();
        drawing.problems();
        if !calm {
            drawing.outages();
        }
        let mut script = drawing.script;
        script.sort_by_key(|at| at.second);
        Self { seed, shape, rates, script, heal_at }
    }
}

struct Drawing {
    rng: SeededRng,
    shape: Shape,
    heal_at: u64,
    script: Vec<At>,
}

impl Drawing {
    fn at(&mut self, second: u64, disruption: Disruption) {
        if second < self.heal_at {
            self.script.push(At { second, disruption });
        }
    }

    fn some_time(&mut self) -> u64 {
        60 + self.rng.below(self.heal_at - 60)
    }

    /// The volumes that pods claim.
    fn claimed(&self) -> std::ops::RangeInclusive<Ix> {
        1..=self.shape.data + u8::from(self.shape.nfs)
    }

    fn pods(&mut self) {
        for ix in self.claimed() {
            if !self.rng.once_in(4) {
                let second = self.rng.below(60);
                self.at(second, Disruption::Start(ix));
            }
            for _ in 0..self.rng.below(5) {
                let second = self.some_time();
                let disruption =
                    if self.rng.once_in(2) { Disruption::Start(ix) } else { Disruption::Stop(ix) };
                self.at(second, disruption);
            }
        }
    }

    fn problems(&mut self) {
        for _ in 0..self.rng.below(5) {
            let reason = Reason::ALL[usize::from(self.rng.small(17))];
            let elsewhere = self.rng.once_in(3);
            let state = InjectedProblem { reason, elsewhere }.state();
            let elsewhere = elsewhere && state.is_some();
            let ix = if reason == Reason::NotInKubernetes {
                self.shape.orphan()
            } else {
                let last = u64::from(*self.claimed().end());
                1 + u8::try_from(self.rng.below(last)).unwrap_or_default()
            };
            let second = self.some_time();
            let problem = InjectedProblem { reason, elsewhere };
            self.at(second, Disruption::Break(ix, problem));
            // Such a problem is visible only when a pod starts, or when one stops.
            match (self.rng.below(3), reason) {
                (
                    0 | 1,
                    Reason::StuckDetaching
                    | Reason::Busy
                    | Reason::PodGone
                    | Reason::StaleAttachment,
                ) if !elsewhere => self.at(second + 1, Disruption::Stop(ix)),
                (0, _) => {
                    self.at(second.saturating_sub(45), Disruption::Stop(ix));
                    self.at(second + 1, Disruption::Start(ix));
                }
                _ => self.at(second, Disruption::Start(ix)),
            }
            if self.rng.once_in(2) {
                let lasts = 10 + self.rng.below(900);
                self.at(second + lasts, Disruption::Mend(ix));
            }
        }
    }

    fn outages(&mut self) {
        for _ in 0..self.rng.below(3) {
            let side = Source::ALL[usize::from(self.rng.small(4))];
            let (second, lasts) = (self.some_time(), 10 + self.rng.below(900));
            self.at(second, Disruption::Away(side));
            self.at(second + lasts, Disruption::Back(side));
        }
        for _ in 0..self.rng.below(3) {
            let second = self.some_time();
            self.at(second, Disruption::Restart);
        }
    }
}
