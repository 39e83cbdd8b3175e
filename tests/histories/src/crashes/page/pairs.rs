//! The pairs of faults that must be tested together.

use std::fmt::Write as _;

use crate::crashes::catalogue::Entry;
use crate::crashes::enumerate::{FROZEN, KILLED, POWERLESS, RECOVERIES, Row, Tally};

/// A pair of faults.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Its name.
    pub name: &'static str,
    /// The two faults.
    pub what: &'static str,
    /// The scenarios that cover it.
    pub scenarios: &'static [&'static str],
    /// Other tests that cover it, or the component that is missing.
    pub also: &'static str,
}

/// All pairs.
pub const PAIRS: &[Pair] = &[
    Pair {
        name: "P1",
        what: "attach.8 with the answer lost, the pod moved, the first request executed last",
        scenarios: &["late-move", "late-back", "late-force", "lost-move"],
        also: "`firecamp-box-tests` f007, f052",
    },
    Pair {
        name: "P2",
        what: "attach.11, node cut off, member started elsewhere, node back",
        scenarios: &["move", "zombie", "agent-frozen"],
        also: "frozen (b); `firecamp-agent` f089",
    },
    Pair {
        name: "P3",
        what: "release.2, a successor of the same name attaching on the same node",
        scenarios: &["force-same-node", "force-predecessor", "secondary-force-same"],
        also: "`firecamp-box-tests` f113, f023",
    },
    Pair {
        name: "P4",
        what: "agent killed, systemd-networkd strips the address, agent started again",
        scenarios: &[],
        also: "`firecamp-box-tests` operations: restore",
    },
    Pair {
        name: "P5",
        what: "agent with a stale cache, claim deleted and created again under the same name",
        scenarios: &[],
        also: "`firecamp-agent` leader::stale",
    },
    Pair {
        name: "P6",
        what: "IMDS says absent, EC2 says present, an attach running",
        scenarios: &["listed-before", "metadata-fails", "metadata-out"],
        also: "`firecamp-box-tests` f047, f048, f049",
    },
    Pair {
        name: "P7",
        what: "EC2 throttled, init restarted again and again",
        scenarios: &["throttled-start", "throttled-move"],
        also: "",
    },
    Pair {
        name: "P8",
        what: "a conflict, the superseded init frozen and resumed",
        scenarios: &["force-twice", "zombie-restarts", "move"],
        also: "frozen (b); `firecamp-box-tests` f032",
    },
    Pair {
        name: "P9",
        what: "node terminated, its ENI deleted, the member attaches from a new node",
        scenarios: &["terminated", "terminated-in-move"],
        also: "",
    },
    Pair {
        name: "P10",
        what: "two members allocate at once, one dies at attach.4",
        scenarios: &["two-first-starts"],
        also: "",
    },
    Pair {
        name: "P11",
        what: "reboot during attach.14, the volume attached to another node with a stale file",
        scenarios: &["move", "first-start", "power-elsewhere"],
        also: "powerless (b)",
    },
    Pair {
        name: "P12",
        what: "two versions of the agent on one node, the address stripped",
        scenarios: &["twins-restore"],
        also: "`firecamp-box-tests` p12",
    },
];

pub(super) fn table(text: &mut String, entries: &[Entry], tally: &Tally) {
    text.push_str(
        "\n## Pairs of faults\n\n| Pair | Faults | Runs | Scenarios, and who else \
         |\n| --- | --- | --- | --- |\n",
    );
    for Pair { name, what, scenarios, also } in PAIRS {
        let runs: u64 = scenarios.iter().map(|scenario| runs(scenario, entries, tally)).sum();
        let mut shown: Vec<String> = scenarios.iter().map(|it| format!("`{it}`")).collect();
        shown.extend((!also.is_empty()).then(|| (*also).to_owned()));
        writeln!(text, "| {name} | {what} | {runs} | {} |", shown.join(", ")).ok();
    }
}

/// All runs of a scenario, with one crash and with two.
fn runs(scenario: &str, entries: &[Entry], tally: &Tally) -> u64 {
    let number = entries.iter().position(|entry| entry.name == scenario);
    let rows = number.into_iter().flat_map(|entry| {
        [KILLED, FROZEN, POWERLESS].into_iter().flat_map(move |how| {
            RECOVERIES.into_iter().map(move |recovery| Row { entry, how, recovery })
        })
    });
    rows.map(|row| tally.count(row)).map(|count| count.singles + count.doubles).sum()
}
