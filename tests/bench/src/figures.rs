//! The figures of a run, as they are saved.

use serde::{Deserialize, Serialize};

use crate::catalogue::{ALL, Entry, Unit};
use crate::machine::{self, Machine};
use crate::page;
use crate::samples::Samples;
use crate::stats::Spread;

/// One run: a line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The start of the run in UTC.
    pub(crate) at: String,
    /// The measured commit, with a `+` if files were modified.
    pub(crate) commit: String,
    /// The number of measured moves.
    pub(crate) runs: u32,
    /// The machine.
    pub(crate) machine: Machine,
    /// What could not be measured on this machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) missing: Vec<String>,
    /// The figures.
    pub(crate) figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Its name, which never changes.
    pub(crate) id: String,
    /// Its unit.
    pub(crate) unit: Unit,
    /// Its values.
    #[serde(flatten)]
    pub(crate) spread: Spread,
}

/// The measured figures, in the order of the catalogue.
pub(crate) fn of(samples: &Samples) -> Vec<Figure> {
    let figure = |entry: &Entry| {
        let spread = rounded(Spread::of(samples.0.get(entry.id)?)?);
        Some(Figure { id: entry.id.to_owned(), unit: entry.unit, spread })
    };
    ALL.iter().filter_map(figure).collect()
}

/// Rounds to thousandths, which is more than the measurements' precision.
fn rounded(spread: Spread) -> Spread {
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    let Spread { n, p10, median, p90, max } = spread;
    Spread { n, p10: round(p10), median: round(median), p90: round(p90), max: round(max) }
}

impl Record {
    /// The record of a run that begins now.
    pub(crate) fn begun(runs: u32) -> Self {
        Self {
            at: machine::now(),
            commit: machine::commit(&page::root()),
            runs,
            machine: Machine::look(),
            missing: Vec::new(),
            figures: Vec::new(),
        }
    }

    pub(crate) fn figure(&self, id: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::find;

    #[test]
    fn times_are_compared_by_median_and_budgets_by_maximum() {
        let mut samples = Samples::default();
        for value in [20.0, 25.0, 90.0] {
            samples.add("init.same", value);
        }
        for value in [0.0, 0.0, 2.0] {
            samples.add("calls.same", value);
        }
        let figures = of(&samples);
        let met = |figure: &Figure| find(&figure.id).unwrap().is_met(&figure.spread);
        assert_eq!(figures.iter().map(met).collect::<Vec<_>>(), [Some(true), Some(false)]);
    }
}
