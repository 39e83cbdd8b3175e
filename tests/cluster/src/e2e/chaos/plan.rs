//! What happens when: the seed decides all of it.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// What takes a while and is undone. One goes on at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heavy {
    /// A node loses its power.
    Power,
    /// A node starts anew.
    Reboot,
    /// A node's kubelet is frozen: its pods live on while others take their places.
    Freeze,
    /// The API server is stopped.
    ApiServer,
    /// Everything on a node is frozen, and goes on with what it had in its mind.
    FreezeNode,
}

/// What is done in a moment, beside everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Light {
    /// A pod is deleted.
    Delete,
    /// A pod's object is deleted, whatever its containers do.
    Force,
    /// A pod is evicted.
    Evict,
    /// An agent is killed.
    KillAgent,
    /// An agent is frozen, and goes on with what it had in its mind.
    FreezeAgent,
    /// An address is removed from the kernel.
    Strip,
    /// EC2 throttles.
    Throttle,
    /// EC2 does what it is asked to, and half of its answers are lost.
    LoseAnswers,
    /// EC2 answers late.
    Delay,
    /// EC2 takes a call, and does it seconds later.
    LandLate,
    /// EC2 can't be read.
    Blind,
}

impl fmt::Display for Heavy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Power => "a node without power",
            Self::Reboot => "a node rebooted",
            Self::Freeze => "a kubelet frozen",
            Self::ApiServer => "the API server away",
            Self::FreezeNode => "a node frozen",
        })
    }
}

impl fmt::Display for Light {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "a pod deleted",
            Self::Force => "a pod forced out",
            Self::Evict => "a pod evicted",
            Self::KillAgent => "an agent killed",
            Self::FreezeAgent => "an agent frozen",
            Self::Strip => "an address stripped",
            Self::Throttle => "EC2 throttles",
            Self::LoseAnswers => "EC2 loses answers",
            Self::Delay => "EC2 is slow",
            Self::LandLate => "EC2 acts late",
            Self::Blind => "EC2 can't be read",
        })
    }
}

const HEAVY: [Heavy; 4] = [Heavy::Power, Heavy::Reboot, Heavy::Freeze, Heavy::ApiServer];
/// A stream of its own: what a seed meant for the others before there was this, it means still.
const FROZEN: [Heavy; 1] = [Heavy::FreezeNode];
const LIGHT: [Light; 11] = [
    Light::Delete,
    Light::Force,
    Light::Evict,
    Light::KillAgent,
    Light::FreezeAgent,
    Light::Strip,
    Light::Throttle,
    Light::LoseAnswers,
    Light::Delay,
    Light::LandLate,
    Light::Blind,
];

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disruption<K> {
    /// So long after the one before it is over.
    pub(super) pause: Duration,
    pub(super) kind: K,
    /// To which of those that it can happen to: the rest of a division.
    pub(super) target: usize,
    /// How long it stays, if it stays.
    pub(super) hold: Duration,
}

/// All kinds in a new order, again and again: none is left out for long.
pub(super) struct Disruptions<K> {
    all: Vec<K>,
    left: Vec<K>,
    rng: StdRng,
    pauses: std::ops::Range<u64>,
}

impl<K: Copy> Disruptions<K> {
    fn new(all: &[K], seed: u64, pauses: std::ops::Range<u64>) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { all: all.to_vec(), left: Vec::new(), rng, pauses }
    }
}

impl<K: Copy> Iterator for Disruptions<K> {
    type Item = Disruption<K>;

    fn next(&mut self) -> Option<Disruption<K>> {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
            self.left.shuffle(&mut self.rng);
        }
        let kind = self.left.pop()?;
        let pause = Duration::from_millis(self.rng.random_range(self.pauses.clone()));
        let hold = Duration::from_millis(self.rng.random_range(2_000..30_000));
        Some(Disruption { pause, kind, target: self.rng.random_range(0..60), hold })
    }
}

/// Everything that a seed chooses from.
pub(super) fn kinds() -> impl Iterator<Item = String> {
    HEAVY.iter().chain(&FROZEN).map(Heavy::to_string).chain(LIGHT.iter().map(Light::to_string))
}

/// What takes a while, without end.
pub(super) fn heavy(seed: u64) -> Disruptions<Heavy> {
    Disruptions::new(&HEAVY, seed, 3_000..20_000)
}

/// Nodes that are frozen, without end.
pub(super) fn frozen(seed: u64) -> Disruptions<Heavy> {
    Disruptions::new(&FROZEN, seed.rotate_left(32) ^ 0x5555_5555, 10_000..60_000)
}

/// What is done in a moment, without end.
pub(super) fn light(seed: u64) -> Disruptions<Light> {
    // Another stream than that of the heavy ones.
    Disruptions::new(&LIGHT, !seed, 500..9_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn one_seed_is_one_plan_and_another_is_another() {
        let first = |seed| {
            let (light, heavy) = (light(seed).take(50), heavy(seed).take(50));
            (light.collect::<Vec<_>>(), heavy.collect::<Vec<_>>())
        };
        assert_eq!(first(7), first(7));
        assert_ne!(first(7).0, first(8).0);
        assert_ne!(first(7).1, first(8).1);
    }

    #[test]
    fn what_is_frozen_is_another_stream_than_what_else_happens() {
        for seed in [0, 1, 7, u64::MAX] {
            let (frozen, heavy): (Vec<_>, Vec<_>) =
                (frozen(seed).take(50).collect(), heavy(seed).take(50).collect());
            assert!(frozen.iter().all(|disruption| disruption.kind == Heavy::FreezeNode));
            assert!(heavy.iter().all(|disruption| disruption.kind != Heavy::FreezeNode));
            let of = |disruptions: &[Disruption<Heavy>]| {
                disruptions.iter().map(|it| it.hold).collect::<Vec<_>>()
            };
            assert_ne!(of(&frozen), of(&heavy), "{seed}");
        }
    }

    #[test]
    fn no_kind_is_left_out_for_long() {
        for seed in 0..100 {
            let all: BTreeSet<_> =
                light(seed).take(LIGHT.len()).map(|disruption| disruption.kind).collect();
            assert_eq!(all.len(), LIGHT.len());
            let all: BTreeSet<_> =
                heavy(seed).take(HEAVY.len()).map(|disruption| disruption.kind).collect();
            assert_eq!(all.len(), HEAVY.len());
        }
    }
}
