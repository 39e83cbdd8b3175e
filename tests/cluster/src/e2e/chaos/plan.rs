//! The plan of disruptions; the seed determines all of it.

use std::fmt;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

/// Disruptions that last a while and are undone. Only one is active at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Heavy {
    /// A node loses its power.
    Power,
    /// A node reboots.
    Reboot,
    /// A node's kubelet is stopped: its pods run on while other pods replace them.
    Freeze,
    /// The API server is stopped.
    ApiServer,
    /// All processes of a node are stopped, and continue later with the state that they had.
    FreezeNode,
}

/// Disruptions that happen at once, in parallel with all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Light {
    /// A pod is deleted.
    Delete,
    /// A pod is force-deleted: its object is gone before its containers.
    Force,
    /// A pod is evicted.
    Evict,
    /// An agent is killed.
    KillAgent,
    /// An agent is stopped, and continues later with the state that it had.
    FreezeAgent,
    /// An address is removed from the kernel.
    RemoveAddress,
    /// EC2 throttles.
    Throttle,
    /// EC2 applies all calls, but half of its responses are lost.
    LoseResponses,
    /// EC2 responds late.
    Delay,
    /// EC2 accepts calls and applies them seconds later.
    ApplyLate,
    /// Most reads of EC2 fail.
    FailReads,
}

impl fmt::Display for Heavy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Power => "node without power",
            Self::Reboot => "node rebooted",
            Self::Freeze => "kubelet frozen",
            Self::ApiServer => "API server stopped",
            Self::FreezeNode => "node frozen",
        })
    }
}

impl fmt::Display for Light {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "pod deleted",
            Self::Force => "pod force-deleted",
            Self::Evict => "pod evicted",
            Self::KillAgent => "agent killed",
            Self::FreezeAgent => "agent frozen",
            Self::RemoveAddress => "address removed from the kernel",
            Self::Throttle => "EC2 throttles",
            Self::LoseResponses => "EC2 loses responses",
            Self::Delay => "EC2 is slow",
            Self::ApplyLate => "EC2 applies calls late",
            Self::FailReads => "EC2 reads fail",
        })
    }
}

const HEAVY: [Heavy; 4] = [Heavy::Power, Heavy::Reboot, Heavy::Freeze, Heavy::ApiServer];
/// A separate stream, so that seeds of the other streams keep their meaning.
const FREEZES: [Heavy; 1] = [Heavy::FreezeNode];
const LIGHT: [Light; 11] = [
    Light::Delete,
    Light::Force,
    Light::Evict,
    Light::KillAgent,
    Light::FreezeAgent,
    Light::RemoveAddress,
    Light::Throttle,
    Light::LoseResponses,
    Light::Delay,
    Light::ApplyLate,
    Light::FailReads,
];

/// One disruption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disruption<K> {
    /// Pause after the end of the previous disruption.
    pub(super) pause: Duration,
    pub(super) kind: K,
    /// Selects the target: an index modulo the number of targets.
    pub(super) target: usize,
    /// How long it lasts, if it is undone.
    pub(super) hold: Duration,
}

/// Rounds of all kinds, each round in a new random order.
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

/// Names of all kinds.
pub(super) fn kinds() -> impl Iterator<Item = String> {
    HEAVY.iter().chain(&FREEZES).map(Heavy::to_string).chain(LIGHT.iter().map(Light::to_string))
}

/// An endless sequence of heavy disruptions.
pub(super) fn heavy(seed: u64) -> Disruptions<Heavy> {
    Disruptions::new(&HEAVY, seed, 3_000..20_000)
}

/// An endless sequence of node freezes.
pub(super) fn freezes(seed: u64) -> Disruptions<Heavy> {
    Disruptions::new(&FREEZES, seed.rotate_left(32) ^ 0x5555_5555, 10_000..60_000)
}

/// An endless sequence of light disruptions.
pub(super) fn light(seed: u64) -> Disruptions<Light> {
    // A different stream from that of the heavy disruptions.
    Disruptions::new(&LIGHT, !seed, 500..9_000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_seed_determines_the_plan() {
        let first = |seed| {
            let (light, heavy) = (light(seed).take(50), heavy(seed).take(50));
            (light.collect::<Vec<_>>(), heavy.collect::<Vec<_>>())
        };
        assert_eq!(first(7), first(7));
        assert_ne!(first(7).0, first(8).0);
        assert_ne!(first(7).1, first(8).1);
    }

    #[test]
    fn node_freezes_have_a_separate_random_stream() {
        for seed in [0, 1, 7, u64::MAX] {
            let (frozen, heavy): (Vec<_>, Vec<_>) =
                (freezes(seed).take(50).collect(), heavy(seed).take(50).collect());
            assert!(frozen.iter().all(|disruption| disruption.kind == Heavy::FreezeNode));
            assert!(heavy.iter().all(|disruption| disruption.kind != Heavy::FreezeNode));
            let of = |disruptions: &[Disruption<Heavy>]| {
                disruptions.iter().map(|it| it.hold).collect::<Vec<_>>()
            };
            assert_ne!(of(&frozen), of(&heavy), "{seed}");
        }
    }

    #[test]
    fn each_round_contains_every_kind() {
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
