//! Medians and their spread.

use serde::{Deserialize, Serialize};

/// Statistics of a figure's values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// The number of values.
    pub(crate) n: usize,
    /// The 10th percentile.
    pub(crate) p10: f64,
    /// The median.
    pub(crate) median: f64,
    /// The 90th percentile.
    pub(crate) p90: f64,
    /// The maximum.
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            n: sorted.len(),
            p10: quantile(&sorted, 10)?,
            median: quantile(&sorted, 50)?,
            p90: quantile(&sorted, 90)?,
            max: *sorted.last()?,
        })
    }
}

/// A quantile by linear interpolation.
fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    let place = sorted.len().checked_sub(1)?.saturating_mul(percent);
    let (index, rest) = (place / 100, place % 100);
    let low = *sorted.get(index)?;
    let high = *sorted.get(index.saturating_add(1)).unwrap_or(&low);
    let part = f64::from(u32::try_from(rest).ok()?) / 100.0;
    Some((high - low).mul_add(part, low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_linearly() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.n, spread.max), (4, 4.0));
        assert!((spread.median - 2.5).abs() < 1e-9, "{spread:?}");
        assert!((spread.p10 - 1.3).abs() < 1e-9 && (spread.p90 - 3.7).abs() < 1e-9, "{spread:?}");
    }

    #[test]
    fn quantiles_of_one_value_are_that_value_and_of_none_are_none() {
        let spread = Spread::of(&[7.0]).unwrap();
        assert_eq!((spread.p10, spread.median, spread.p90), (7.0, 7.0, 7.0));
        assert_eq!(Spread::of(&[]), None);
    }
}
