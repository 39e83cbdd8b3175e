//! The figures for people.

use crate::catalogue::{Entry, Judged, Unit, find};
use crate::figures::{Figure, Record};
use crate::samples::Samples;
use crate::stats::Spread;

/// Two columns' worth of a name.
const NAME: usize = 52;

/// A table on a terminal, one group after the other.
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

/// Where and when, on one line.
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
    let (goal, verdict) = (goal(entry), verdict(figure));
    let (p10, p90, n) = (show(spread.p10), show(spread.p90), spread.n);
    let line = format!(
        "{:NAME$} {goal:>8} {verdict:>6} {median:>10} {p10:>10} {p90:>10} {n:>5}",
        entry.what
    );
    line.trim_end().to_owned()
}

/// What was aimed at.
pub(crate) fn goal(entry: &Entry) -> String {
    let Some((most, judged)) = entry.goal else { return String::new() };
    let text = match judged {
        Judged::Max if most == 0.0 => "0".to_owned(),
        Judged::Max | Judged::Median => format!("≤ {most} {}", entry.unit.as_str()),
    };
    text.trim_end().to_owned()
}

/// Whether it was reached.
pub(crate) fn verdict(figure: &Figure) -> &'static str {
    match figure.met {
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    }
}

/// A value with as many digits as mean something.
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

/// What was measured with older binaries in turn, beside the new ones.
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

/// What the names of figures of older binaries begin with.
pub(crate) const BASELINE: &str = "baseline:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_as_many_digits_as_mean_something() {
        assert_eq!(value_of(3.051, Unit::Ms), "3.1");
        assert_eq!(value_of(1234.5, Unit::Us), "1234");
        assert_eq!(value_of(2.0, Unit::Count), "2");
        assert_eq!(value_of(1.049, Unit::Times), "1.05");
    }

    #[test]
    fn a_goal_says_what_it_allows() {
        assert_eq!(goal(find("init.same").unwrap()), "≤ 30 ms");
        assert_eq!(goal(find("calls.moved").unwrap()), "≤ 2");
        assert_eq!(goal(find("calls.stop").unwrap()), "0");
        assert_eq!(goal(find("stop").unwrap()), "");
    }
}
