//! `docs/proof/crash-points.md`.

mod named;
mod pairs;

use std::fmt::Write as _;

use crate::crash_injection::{CrashKind, Position, Recovery};

use crate::crashes::catalogue::Entry;
use crate::crashes::enumerate::{FROZEN, KILLED, POWERLESS, RECOVERIES, Row, Tally};

pub use named::{CoveredBy, NAMED, Named};
pub use pairs::{PAIRS, Pair};

const HEAD: &str = "# Crash points

<!-- Generated from tests/histories/src/crashes: `BLESS=1 cargo test --test enumeration`. -->

Where processes crash, and which tests show that every crash is harmless. Each scenario below runs
in the simulated cluster of `tests/histories` with the protocol's own state machines. It runs once
to count its *boundaries*, then with a crash at each of them, and with a second crash at each
boundary that follows. The boundaries are: before an action is performed, between sending a call
and its effect (the effect still happens), and between an effect and its answer. The short wait
between two reads of the same thing is not a boundary of its own: a crash there equals one before
the second read. Init containers, stop containers and agents crash alike.

The first process is killed, or it is frozen for 9 s (longer than T, so that a successor takes
over), or its node loses its power and boots. Then one of these follows:

- **(a)** the kubelet continues with the same pod
- **(b)** the pod is force-deleted and its successor starts on the next node
- **(c)** the pod is force-deleted and no successor starts: only the agents are left

The second process is always killed. After each step the invariants of `tests/histories` hold: one
holder, ready means reachable, nothing of a successor or of others is changed, no address is lost.
Within 60 s of the last crash or fault every wanted member is ready, no kernel has an address
without a holder, no process is left and the agents have nothing to do.

`cargo test --test enumeration` runs every single crash and a third of the pairs that begin with a
kill. `make crashes SEEDS=N` runs every pair, also with other latencies, lags and jitter. To print
one run with its trace: `cargo run --bin firecamp-crashes -- move killed elsewhere 12 7`.
";

/// The page, from the results of the enumeration.
pub fn page(entries: &[Entry], tally: &Tally) -> String {
    let mut text = HEAD.to_owned();
    totals(&mut text, tally);
    scenarios(&mut text, entries, tally);
    named::table(&mut text, tally);
    pairs::table(&mut text, entries, tally);
    text
}

fn rows(entry: usize, how: CrashKind) -> impl Iterator<Item = Row> {
    RECOVERIES.into_iter().map(move |recovery| Row { entry, how, recovery })
}

fn totals(text: &mut String, tally: &Tally) {
    let total = tally.total();
    let at = |position| tally.at(position);
    writeln!(
        text,
        "\n{} single crashes, {} pairs. Of the single kills, {} came before an action, {} between \
         a call and its effect, {} between an effect and its answer.",
        total.singles,
        total.doubles,
        at(Position::Before),
        at(Position::Sent),
        at(Position::After),
    )
    .ok();
}

fn scenarios(text: &mut String, entries: &[Entry], tally: &Tally) {
    text.push_str(
        "\n## Scenarios\n\n| Scenario | What happens | Boundaries | Pairs, killed (a) | (b) | \
         (c) | Pairs, frozen | Pairs, powerless |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (number, entry) in entries.iter().enumerate() {
        let killed: Vec<String> =
            rows(number, KILLED).map(|row| tally.count(row).doubles.to_string()).collect();
        let sum = |how| rows(number, how).map(|row| tally.count(row).doubles).sum::<u64>();
        let (boundaries, killed) = (tally.boundaries(number), killed.join(" | "));
        let (frozen, powerless) = (sum(FROZEN), sum(POWERLESS));
        let Entry { name, what, .. } = entry;
        writeln!(text, "| `{name}` | {what} | {boundaries} | {killed} | {frozen} | {powerless} |")
            .ok();
    }
}

fn counts(tally: &Tally, step: firecamp_core::step::Step) -> String {
    let count = |recovery: Recovery| tally.named(step, recovery).to_string();
    RECOVERIES.map(count).join(" | ")
}
