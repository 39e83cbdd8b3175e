//! The figures as a table.

use crate::catalogue::{Compared, Entry, Unit, find};
use crate::figures::{Figure, Record};
use crate::samples::Samples;
use crate::stats::Spread;

/// The width of the names.
const NAME: usize = 52;

/// A table for a terminal, by group.
pub(crate) fn text(record: &Record) -> String {
    let mut lines = vec![place(record)];
    let mut group = "";
    for figure in &record.figures {
        let Some(entry) = find(&figure.id) else { continue };
        if entry.group != group {
            group = entry.group;
            lines.push(format!(
                "\n{group:NAME$} {:>8} {:>6} {:>10} {:>10} {:>10} {:>5}",
                "goal", "", "median", "p10", "p90", "n"
            ));
        }
        lines.push(row(entry, figure));
    }
    lines.extend(record.missing.iter().map(|what| format!("\nNot measured here: {what}")));
    lines.join("\n") + "\n"
}

/// The machine and the time, on one line.
pub(crate) fn place(record: &Record) -> String {
    let machine = &record.machine;
    format!(
        "{} at {}: {} × {}, Linux {}, {} MiB; load average {} at the start, {} at \
         the end; nice {}",
        record.commit,
        record.at,
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.memory_mib,
        machine.load.0,
        machine.load.1,
        machine.nice
    )
}

fn row(entry: &Entry, figure: &Figure) -> String {
    let spread = &figure.spread;
    let show = |value| value_of(value, entry.unit);
    let median = format!("{} {}", show(spread.median), entry.unit.as_str());
    let (goal, verdict) = (goal(entry), verdict(entry, spread));
    let (p10, p90, n) = (show(spread.p10), show(spread.p90), spread.n);
    let line = format!(
        "{:NAME$} {goal:>8} {verdict:>6} {median:>10} {p10:>10} {p90:>10} {n:>5}",
        entry.what
    );
    line.trim_end().to_owned()
}

/// The goal of a figure.
pub(crate) fn goal(entry: &Entry) -> String {
    let Some((most, compared)) = entry.goal else { return String::new() };
    let text = match compared {
        Compared::Max if most == 0.0 => "0".to_owned(),
        Compared::Max | Compared::Median => format!("≤ {most} {}", entry.unit.as_str()),
    };
    text.trim_end().to_owned()
}

/// Whether these values meet the goal.
pub(crate) fn verdict(entry: &Entry, spread: &Spread) -> &'static str {
    match entry.is_met(spread) {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    }
}

/// A value with its significant digits.
pub(crate) fn value_of(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => format!("{value:.0}"),
        Unit::Times | Unit::Percent | Unit::KiBPerMinute => format!("{value:.2}"),
        Unit::Ms | Unit::Us | Unit::S | Unit::MiB | Unit::Mb | Unit::Millions => {
            if value < 99.95 {
                format!("{value:.1}")
            } else {
                format!("{value:.0}")
            }
        }
    }
}

/// Compares the older binaries with the new ones.
pub(crate) fn paired(samples: &Samples) -> String {
    let mut lines = vec![format!("\n{:NAME$} {:>10} {:>10} {:>8}", "in turn", "older", "new", "")];
    for (id, older) in &samples.0 {
        let Some(id) = id.strip_prefix(BASELINE) else { continue };
        let new = samples.0.get(id).and_then(|values| Spread::of(values));
        let (Some(entry), Some(older), Some(new)) = (find(id), Spread::of(older), new) else {
            continue;
        };
        let show = |value| format!("{} {}", value_of(value, entry.unit), entry.unit.as_str());
        let ratio = new.median / older.median;
        let (older, new) = (show(older.median), show(new.median));
        lines.push(format!("{:NAME$} {older:>10} {new:>10} {ratio:>7.2}×", entry.what));
    }
    lines.join("\n") + "\n"
}

/// The prefix of the figures of init containers that ask the agents.
pub(crate) const ENDPOINT: &str = "endpoint.";

/// The prefix of the figures of older binaries.
pub(crate) const BASELINE: &str = "baseline:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_significant_digits() {
        assert_eq!(value_of(3.051, Unit::Ms), "3.1");
        assert_eq!(value_of(1234.5, Unit::Us), "1234");
        assert_eq!(value_of(2.0, Unit::Count), "2");
        assert_eq!(value_of(1.049, Unit::Times), "1.05");
    }

    #[test]
    fn goals_show_their_upper_bound() {
        assert_eq!(goal(find("init.same").unwrap()), "≤ 30 ms");
        assert_eq!(goal(find("calls.moved").unwrap()), "≤ 2");
        assert_eq!(goal(find("calls.stop").unwrap()), "0");
        assert_eq!(goal(find("stop").unwrap()), "");
    }
}
