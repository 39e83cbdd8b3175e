//! What happens to the volumes of a node: drawn from a seed, as pure data.

use crate::seed::{Chance, Purpose};
use firecamp_node::volumes::Reason;
use firecamp_node::volumes::seen::AttachmentState;

/// The number of a volume. 0 is the root volume.
pub type Ix = u8;

/// A single read or write that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The list of devices cannot be read.
    DevicesFail,
    /// The list of mounts cannot be read, or not wholly.
    MountsFail,
    /// A filesystem refuses to say how much room it has.
    SpaceFails,
    /// The kernel's notice of a change is lost.
    NoticeLost,
    /// EC2 answers 5xx.
    CloudFails,
    /// EC2 throttles.
    CloudThrottled,
    /// EC2 shows what was up to half a minute ago.
    CloudStale,
    /// EC2's answer takes seconds.
    CloudLate,
    /// A look at Kubernetes fails.
    ClusterFails,
    /// A look at Kubernetes shows pods of a while before the rest.
    ClusterTorn,
    /// A write fails without effect.
    BoardFails,
    /// A write has its effect, and its answer is lost.
    BoardLost,
    /// Somebody else has written in between.
    BoardConflicts,
    /// A write is refused.
    BoardRefuses,
}

impl Fault {
    /// All of them.
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
        Self::BoardFails,
        Self::BoardLost,
        Self::BoardConflicts,
        Self::BoardRefuses,
    ];
}

/// A source that is away for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// sysfs hangs.
    Devices,
    /// The mount table cannot be read.
    Mounts,
    /// EC2.
    Cloud,
    /// The API of Kubernetes, for reads and writes.
    Api,
}

impl Side {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Devices, Self::Mounts, Self::Cloud, Self::Api];
}

/// Something that is really wrong with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// What is to be told of it.
    pub reason: Reason,
    /// On another instance, which has the volume.
    pub elsewhere: bool,
}

impl Trouble {
    /// The state in EC2 in which it keeps the volume.
    pub fn state(self) -> Option<AttachmentState> {
        let states = [
            (Reason::StuckAttaching, AttachmentState::Attaching),
            (Reason::StuckDetaching, AttachmentState::Detaching),
            (Reason::Busy, AttachmentState::Busy),
        ];
        states.into_iter().find(|(reason, _)| *reason == self.reason).map(|(_, state)| state)
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Deed {
    /// The pod of a volume is wanted here.
    Start(Ix),
    /// It is wanted here no more.
    Stop(Ix),
    /// Something breaks.
    Break(Ix, Trouble),
    /// It is mended.
    Mend(Ix),
    /// A source goes away.
    Away(Side),
    /// It comes back.
    Back(Side),
    /// The agent ends, and begins anew.
    Restart,
}

/// A deed and its second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct At {
    /// When.
    pub second: u64,
    /// What.
    pub deed: Deed,
}

/// What a node is like before anything happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Volumes on EBS that pods claim: 2 to 4.
    pub data: u8,
    /// One more pod claims an NFS export.
    pub nfs: bool,
    /// Devices have no serials.
    pub xen: bool,
}

impl Shape {
    /// The number of the NFS volume.
    pub fn export(self) -> Ix {
        self.data + 1
    }

    /// The number of the volume that no persistent volume names.
    pub fn stray(self) -> Ix {
        self.data + 2
    }
}

/// One history before it is run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scenario {
    /// The seed.
    pub seed: u64,
    /// The node.
    pub shape: Shape,
    /// How often each fault fires, in ten thousand.
    pub rates: [u16; Fault::ALL.len()],
    /// What happens, in order.
    pub script: Vec<At>,
    /// From here on nothing happens and nothing fails any more.
    pub heal_at: u64,
}

impl Scenario {
    /// How often this fault fires.
    pub fn rate(&self, fault: Fault) -> u16 {
        self.rates[fault as usize]
    }

    /// Whatever is said is true, and everything can be read.
    pub fn is_calm(&self) -> bool {
        let quiet = |at: &At| !matches!(at.deed, Deed::Away(_) | Deed::Restart);
        self.rates.iter().all(|rate| *rate == 0) && self.script.iter().all(quiet)
    }

    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut chance = Chance::new(seed, Purpose::Volumes, 0);
        let shape =
            Shape { data: 2 + chance.small(3), nfs: chance.once_in(2), xen: chance.once_in(8) };
        let heal_at = 900 + chance.below(900);
        let calm = chance.once_in(5);
        let mut rates = [0; Fault::ALL.len()];
        for rate in rates.iter_mut().filter(|_| !calm) {
            let most = if chance.once_in(4) { 5_000 } else { 1_000 };
            if chance.once_in(2) {
                *rate = u16::try_from(1 + chance.below(most)).unwrap_or_default();
            }
        }
        let mut drawing = Drawing { chance, shape, heal_at, script: Vec::new() };
        drawing.pods();
        drawing.troubles();
        if !calm {
            drawing.outages();
        }
        let mut script = drawing.script;
        script.sort_by_key(|at| at.second);
        Self { seed, shape, rates, script, heal_at }
    }
}

struct Drawing {
    chance: Chance,
    shape: Shape,
    heal_at: u64,
    script: Vec<At>,
}

impl Drawing {
    fn at(&mut self, second: u64, deed: Deed) {
        if second < self.heal_at {
            self.script.push(At { second, deed });
        }
    }

    fn some_time(&mut self) -> u64 {
        60 + self.chance.below(self.heal_at - 60)
    }

    /// Those that pods claim.
    fn claimed(&self) -> std::ops::RangeInclusive<Ix> {
        1..=self.shape.data + u8::from(self.shape.nfs)
    }

    fn pods(&mut self) {
        for ix in self.claimed() {
            if !self.chance.once_in(4) {
                let second = self.chance.below(60);
                self.at(second, Deed::Start(ix));
            }
            for _ in 0..self.chance.below(5) {
                let second = self.some_time();
                let deed = if self.chance.once_in(2) { Deed::Start(ix) } else { Deed::Stop(ix) };
                self.at(second, deed);
            }
        }
    }

    fn troubles(&mut self) {
        for _ in 0..self.chance.below(5) {
            let reason = Reason::ALL[usize::from(self.chance.small(17))];
            let elsewhere = self.chance.once_in(3);
            let state = Trouble { reason, elsewhere }.state();
            let elsewhere = elsewhere && state.is_some();
            let ix = if reason == Reason::NotInKubernetes {
                self.shape.stray()
            } else {
                let last = u64::from(*self.claimed().end());
                1 + u8::try_from(self.chance.below(last)).unwrap_or_default()
            };
            let second = self.some_time();
            let trouble = Trouble { reason, elsewhere };
            self.at(second, Deed::Break(ix, trouble));
            // What is to be seen of it needs a pod that comes, or one that goes.
            match (self.chance.below(3), reason) {
                (
                    0 | 1,
                    Reason::StuckDetaching
                    | Reason::Busy
                    | Reason::PodGone
                    | Reason::StaleAttachment,
                ) if !elsewhere => self.at(second + 1, Deed::Stop(ix)),
                (0, _) => {
                    self.at(second.saturating_sub(45), Deed::Stop(ix));
                    self.at(second + 1, Deed::Start(ix));
                }
                _ => self.at(second, Deed::Start(ix)),
            }
            if self.chance.once_in(2) {
                let lasts = 10 + self.chance.below(900);
                self.at(second + lasts, Deed::Mend(ix));
            }
        }
    }

    fn outages(&mut self) {
        for _ in 0..self.chance.below(3) {
            let side = Side::ALL[usize::from(self.chance.small(4))];
            let (second, lasts) = (self.some_time(), 10 + self.chance.below(900));
            self.at(second, Deed::Away(side));
            self.at(second + lasts, Deed::Back(side));
        }
        for _ in 0..self.chance.below(3) {
            let second = self.some_time();
            self.at(second, Deed::Restart);
        }
    }
}
