//! Where a run's random numbers come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use firecamp_core::ids::RunId;
use rand::RngExt as _;

/// What a run draws its jitter and its name from.
#[derive(Debug, Clone, Default)]
pub enum Dice {
    /// The thread's own generator: never the same twice.
    #[default]
    Fresh,
    /// A sequence that its seed determines, so that a run can be replayed. Clones go on with the
    /// same sequence.
    Seeded(Arc<AtomicU64>),
}

/// The step of splitmix64. No library's generator: its numbers may change from version to version,
/// and a seed that once found something is kept for ever.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The sequence of this seed.
    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Arc::new(AtomicU64::new(seed)))
    }

    /// A name for one run of one process: 16 hexadecimal digits, never used before.
    pub fn run_id(&self) -> RunId {
        let text = format!("{:016x}", self.roll());
        // Hexadecimal digits are a valid run id; the fallback is never taken and is valid as well.
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
    fn a_seed_determines_the_numbers_and_clones_go_on_with_them() {
        let (one, two) = (Dice::seeded(7), Dice::seeded(7));
        let numbers = [one.roll(), one.clone().roll(), one.roll()];
        assert_eq!(numbers, [two.roll(), two.roll(), two.roll()]);
        assert_ne!(numbers[0], numbers[1]);
        assert_ne!(Dice::seeded(8).roll(), numbers[0]);
    }

    #[test]
    fn a_part_is_at_least_nothing_and_less_than_all() {
        let dice = Dice::seeded(1);
        let parts: Vec<f64> = (0..1000).map(|_| dice.part()).collect();
        assert!(parts.iter().all(|part| (0.0..1.0).contains(part)));
        assert!(parts.iter().any(|part| *part < 0.1) && parts.iter().any(|part| *part > 0.9));
    }

    #[test]
    fn no_two_runs_of_the_binaries_have_one_name() {
        let dice = Dice::default();
        assert_ne!(dice.run_id(), dice.run_id());
    }
}
