//! The random numbers of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use firecamp_core::ids::RunId;
use rand::RngExt as _;

use crate::pacing::Pacing;

/// The source of a run's jitter and run id.
#[derive(Debug, Clone, Default)]
pub enum Rng {
    /// The thread's own generator: different in every run.
    #[default]
    Fresh,
    /// A sequence that the seed determines, so that a run can be replayed. Clones continue the same
    /// sequence.
    Seeded(Arc<AtomicU64>),
    /// That of runs which share their requests to EC2, and pause together.
    Paced(Arc<Pacing>),
}

/// The step of splitmix64. It is implemented here because a library's numbers may change from
/// version to version, while a seed that once found a bug is kept for ever.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rng {
    /// The sequence of this seed.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(AtomicU64::new(seed)))
    }

    /// What is left of the pause of the runs that share it, if there is one.
    pub(crate) fn pause(&self) -> Option<Duration> {
        match self {
            Self::Paced(pacing) => pacing.left(),
            Self::Fresh | Self::Seeded(_) => None,
        }
    }

    /// A new id for one run of one process: 16 hexadecimal digits.
    pub fn run_id(&self) -> RunId {
        let text = format!("{:016x}", self.roll());
        // Hexadecimal digits are a valid run id, so the fallback is never used.
        RunId::new(&text).unwrap_or_else(|_never| self.run_id())
    }

    /// At least 0 and less than 1.
    pub fn part(&self) -> f64 {
        let bits = u32::try_from(self.roll() >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / 4_294_967_296.0
    }

    fn roll(&self) -> u64 {
        match self {
            Self::Fresh => rand::rng().random(),
            Self::Paced(pacing) => pacing.rng.roll(),
            Self::Seeded(state) => {
                let mut z = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                z ^ (z >> 31)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_determines_the_numbers_and_clones_continue_them() {
        let (one, two) = (Rng::seeded(7), Rng::seeded(7));
        let numbers = [one.roll(), one.clone().roll(), one.roll()];
        assert_eq!(numbers, [two.roll(), two.roll(), two.roll()]);
        assert_ne!(numbers[0], numbers[1]);
        assert_ne!(Rng::seeded(8).roll(), numbers[0]);
    }

    #[test]
    fn a_part_is_at_least_0_and_less_than_1() {
        let rng = Rng::seeded(1);
        let parts: Vec<f64> = (0..1000).map(|_| rng.part()).collect();
        assert!(parts.iter().all(|part| (0.0..1.0).contains(part)));
        assert!(parts.iter().any(|part| *part < 0.1) && parts.iter().any(|part| *part > 0.9));
    }

    #[test]
    fn no_two_runs_of_the_binaries_have_the_same_id() {
        let rng = Rng::default();
        assert_ne!(rng.run_id(), rng.run_id());
    }
}
