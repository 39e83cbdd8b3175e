//! Records every decision in every run of the enumeration.

use std::io;

use crate::crash_injection;
use crate::names::Names;
use crate::tape::Tape;
use crate::trace::Trace;

use crate::crashes::catalogue::Entry;
use crate::crashes::enumerate::{self, CrashKind, Tally, Unit};

/// Which runs to record.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Kinds of first crash that are followed by a second crash at each later boundary.
    pub doubles: &'a [CrashKind],
    /// The number of parts.
    pub of: usize,
    /// The index of this part.
    pub part: usize,
}

/// Records one part of all runs, in order. Returns the number of runs.
pub fn record(
    entries: &[Entry],
    Part { doubles, of, part }: Part<'_>,
    to: &mut impl FnMut(Vec<u8>) -> io::Result<()>,
) -> io::Result<u64> {
    let names = Names::new();
    let units = enumerate::units(entries, &mut Tally::new(entries));
    let mut runs = 0;
    for unit in units.into_iter().skip(part).step_by(of.max(1)) {
        let Some(entry) = entries.get(unit.entry) else { continue };
        let (lines, follow) = one((entry, unit), &[unit.first], &names);
        to(lines)?;
        runs += 1;
        let seconds = if doubles.contains(&unit.how) { follow } else { 0 };
        for second in 0..seconds {
            to(one((entry, unit), &[unit.first, second], &names).0)?;
        }
        runs += u64::from(seconds);
    }
    Ok(runs)
}

/// One run, and how many boundaries follow its last crash. Its title is the command that replays
/// it.
fn one((entry, unit): (&Entry, Unit), at: &[u32], names: &Names) -> (Vec<u8>, u32) {
    let how = enumerate::how_name(unit.how);
    let recovery = enumerate::recovery_name(unit.recovery);
    let at_words: Vec<String> = at.iter().map(u32::to_string).collect();
    let title = format!("crash {} {how} {recovery} {}", entry.name, at_words.join(" "));
    let trace = Trace::Tape(Tape::of(&title, entry.scenario.seed));
    let crash_plan = enumerate::crash_plan(entry, unit.how, unit.recovery, at);
    let (report, met) = crash_injection::play(&entry.scenario, names, trace, crash_plan);
    (report.trace.into_tape(), met.boundaries)
}
