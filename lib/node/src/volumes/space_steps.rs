//! The space of a volume is published in steps, so that ordinary use of it publishes nothing.

use crate::volumes::observation::{Amount, Usage};
use crate::volumes::table::SpaceShown;

/// Shown totals move by this part of the total.
const TOTAL_STEPS: u64 = 50;
/// Shown free amounts move by this part of the total.
const FREE_STEPS: u64 = 20;

/// The space to publish, by what is published now and what the filesystem reports.
pub(crate) fn rounded(shown: Option<SpaceShown>, usage: Usage) -> SpaceShown {
    let amount = |before: Option<(u64, u64)>, amount: Amount| {
        // An exact total stays exact while it does not change.
        let total = match before {
            Some((total, _)) if total.abs_diff(amount.total) < amount.total / TOTAL_STEPS => total,
            Some(_) | None => amount.total,
        };
        let free = hold(before.map(|(_, free)| free), amount.free, total / FREE_STEPS);
        (total, free.min(total))
    };
    let bytes = amount(shown.map(|s| (s.bytes_total, s.bytes_free)), usage.bytes);
    let inodes = amount(shown.map(|s| (s.inodes_total, s.inodes_free)), usage.inodes);
    SpaceShown {
        bytes_total: bytes.0,
        bytes_free: bytes.1,
        inodes_total: inodes.0,
        inodes_free: inodes.1,
    }
}

/// The number to publish: the previous one until the true one is a whole step away, then the
/// nearest multiple of the step.
fn hold(shown: Option<u64>, value: u64, step: u64) -> u64 {
    let step = step.max(1);
    match shown {
        Some(shown) if shown.abs_diff(value) < step => shown,
        Some(_) | None => (value / step + u64::from(value % step > step / 2)).saturating_mul(step),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_moves_by_whole_steps_and_then_stays() {
        assert_eq!(hold(None, 23, 10), 20);
        assert_eq!(hold(Some(20), 29, 10), 20);
        assert_eq!(hold(Some(20), 30, 10), 30);
        assert_eq!(hold(Some(20), 11, 10), 20);
        assert_eq!(hold(Some(10), 0, 10), 0);
        assert_eq!(hold(None, 7, 0), 7);
    }

    proptest! {
        #[test]
        fn a_number_that_moves_less_than_half_a_step_is_shown_unchanged(
            middle in 1_000..1_000_000u64,
            step in 2..1_000u64,
            noise in prop::collection::vec(0.0..1.0f64, 1..100),
        ) {
            #[expect(
                clippy::cast_possible_truncation, clippy::cast_sign_loss,
                clippy::cast_precision_loss, reason = "small numbers"
            )]
            let around = |n: f64| middle + (n * (step / 2) as f64) as u64;
            let mut shown = hold(None, middle, step);
            let mut changes = 0;
            for n in noise {
                let next = hold(Some(shown), around(n), step);
                changes += usize::from(next != shown);
                shown = next;
            }
            prop_assert!(changes <= 1, "{changes} changes");
            prop_assert!(shown.abs_diff(middle) <= step + step / 2);
        }
    }
}
