//! `docs/crash-points.md`.

mod named;
mod pairs;

use std::fmt::Write as _;

use crate::strike::{How, Position, Recovery};

use crate::crashes::catalogue::Entry;
use crate::crashes::enumerate::{KILLED, POWERLESS, RECOVERIES, Row, STILL, Tally};

pub use named::{NAMED, Named, Shown};
pub use pairs::{PAIRS, Pair};

const HEAD: &str = "# Crash points

<!-- Generated from tests/histories/src/crashes: `BLESS=1 cargo test --test enumeration`. -->

What dies where, and what shows that it does no harm. Each scenario below is run in the simulated
cluster of `tests/histories` with the protocol's own machines, once to count its *boundaries*, then
with a crash at each of them, and with a second crash at each boundary of what follows. A boundary
is the moment before an action is performed, between a call's being sent and its effect (the
effect comes all the same), and between an effect and its being heard of. Init containers, stop
containers and agents crash alike.

The first process is killed, stands still for 9 s and goes on (longer than T, so that a
successor has taken over), or its node loses its power and boots. Then either

- **(a)** the kubelet goes on with the same pod, or
- **(b)** the pod is deleted by force and its successor starts on the next node, or
- **(c)** the pod is deleted by force and nothing starts: only the agents and time.

The second process is always killed. After each step the audits of `tests/histories` hold (one
holder, ready means reachable, nothing of a successor's or a stranger's is changed, no address is
lost); in the end every member that is wanted is ready, no kernel holds what nobody holds, no
process is left and the agents find nothing to do, within 60 s of the last crash or fault.

`cargo test --test enumeration` runs every single crash and every pair that begins with a kill;
`make crashes SEEDS=N` runs every pair, and with other latencies, lags and jitter. One run with its
trace: `cargo run --bin firecamp-crashes -- move killed elsewhere 12 7`.
";

/// The page, from what single crashes met.
pub fn page(entries: &[Entry], tally: &Tally) -> String {
    let mut text = HEAD.to_owned();
    totals(&mut text, tally);
    scenarios(&mut text, entries, tally);
    named::table(&mut text, tally);
    pairs::table(&mut text, entries, tally);
    text
}

fn rows(entry: usize, how: How) -> impl Iterator<Item = Row> {
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
        "\n## Scenarios\n\n| Scenario | What happens | Boundaries | Pairs, killed (a) | (b) | (c) | \
         Pairs, frozen | Pairs, powerless |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (number, entry) in entries.iter().enumerate() {
        let killed: Vec<String> =
            rows(number, KILLED).map(|row| tally.count(row).doubles.to_string()).collect();
        let sum = |how| rows(number, how).map(|row| tally.count(row).doubles).sum::<u64>();
        let (boundaries, killed) = (tally.boundaries(number), killed.join(" | "));
        let (frozen, powerless) = (sum(STILL), sum(POWERLESS));
        let Entry { name, what, .. } = entry;
        writeln!(text, "| `{name}` | {what} | {boundaries} | {killed} | {frozen} | {powerless} |")
            .ok();
    }
}

fn counts(tally: &Tally, step: firecamp_core::action::Step) -> String {
    let count = |recovery: Recovery| tally.named(step, recovery).to_string();
    RECOVERIES.map(count).join(" | ")
}
