//! Generates docs/proof/performance/scale.md from the results of a run, and of an earlier one.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::catalogue::{ALL, Entry, OFF, ON};
use super::fleet::{Fleet, MEMBERS, PODS};
use crate::failure::Failure;
use crate::machine::Machine;

/// The path of the page in the repository.
pub(super) const PAGE: &str = "docs/proof/performance/scale.md";
/// The text of the page.
const TEMPLATE: &str = include_str!("page.md");

/// The results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The start of the run in UTC.
    pub(super) at: String,
    /// The measured commit, with a `+` if files were modified.
    pub(super) commit: String,
    /// `Kubernetes v1.37.2`.
    pub(super) kubernetes: String,
    /// How the agents were built: `image`, `release` or `debug`.
    pub(super) build: String,
    pub(super) machine: Machine,
    pub(super) fleet: Fleet,
    /// The length of the measurement at rest.
    pub(super) minutes: u32,
    /// The figures; those of a mode with its prefix.
    pub(super) figures: BTreeMap<String, f64>,
}

pub(super) fn read(path: &Path) -> Result<Record, Failure> {
    let text = std::fs::read_to_string(path).map_err(Failure::of(path.display()))?;
    serde_json::from_str(&text).map_err(Failure::of(path.display()))
}

pub(super) fn write(path: &Path, record: &Record) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(record).map_err(Failure::of("encode the result"))?;
    std::fs::write(path, text + "\n").map_err(Failure::of(path.display()))
}

/// The page of a run, compared with an earlier one.
pub(super) fn page(record: &Record, before: Option<&Record>) -> String {
    let earlier = before.map_or_else(String::new, |before| {
        format!(" The figures before the arrow are those of {}.", place(before))
    });
    TEMPLATE
        .replace("{{place}}", &format!("{}.{earlier}", place(record)))
        .replace("{{figures}}", figures(record, before).trim())
        .replace("{{growth}}", &growth(record, before))
}

fn place(record: &Record) -> String {
    let (machine, fleet) = (&record.machine, record.fleet);
    format!(
        "{} at {} ({}, {} build of the agents, {} nodes, {} of them with a real agent, {} min at \
         rest): {} × {}, Linux {}, {} MiB; load average {} at the start, {} at the end",
        record.commit,
        record.at,
        record.kubernetes,
        record.build,
        fleet.nodes,
        fleet.real,
        record.minutes,
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.memory_mib,
        machine.load.0,
        machine.load.1
    )
}

impl Record {
    /// Whether the goals apply: to the whole fleet and the programs of the images.
    fn has_goals(&self) -> bool {
        self.fleet.is_whole() && self.build == "image"
    }
}

fn figures(record: &Record, before: Option<&Record>) -> String {
    let mut lines = Vec::new();
    let mut group = "";
    for entry in ALL {
        let values =
            [entry.id.to_owned(), format!("{ON}{}", entry.id), format!("{OFF}{}", entry.id)]
                .map(|id| (record.figures.get(&id), before.and_then(|one| one.figures.get(&id))));
        if values.iter().all(|(after, _)| after.is_none()) {
            continue;
        }
        if entry.group != group {
            group = entry.group;
            lines.push(String::new());
            let (names, rules) =
                if record.has_goals() { (" Goal | |", " ---: | --- |") } else { ("", "") };
            lines.push(format!("| {group} |{names} From the cache | From etcd |"));
            lines.push(format!("| --- |{rules} ---: | ---: |"));
        }
        let [alone, on, off] = values;
        let on = if on.0.is_some() { on } else { alone };
        let goal = if record.has_goals() { goal(entry, on.0) } else { String::new() };
        let (what, on, off) = (entry.what, cell(entry, on), cell(entry, off));
        lines.push(format!("| {what} |{goal} {on} | {off} |"));
    }
    lines.join("\n")
}

type Value<'a> = (Option<&'a f64>, Option<&'a f64>);

/// The cells of a goal, and of whether it is met.
fn goal(entry: &Entry, value: Option<&f64>) -> String {
    let goal = entry.goal.map_or_else(String::new, |most| {
        if most == 0.0 { "0".to_owned() } else { shown(most, entry.unit, "≤ ") }
    });
    let verdict = match (entry.goal, value) {
        (Some(most), Some(value)) if *value <= most => "met",
        (Some(_), Some(_)) => "missed",
        _ => "",
    };
    format!(" {goal} | {verdict} |")
}

fn cell(entry: &Entry, (after, before): Value<'_>) -> String {
    match (after, before) {
        (Some(after), Some(before)) => {
            format!("{} → {}", number(*before), shown(*after, entry.unit, ""))
        }
        (Some(after), None) => shown(*after, entry.unit, ""),
        (None, _) => String::new(),
    }
}

fn shown(value: f64, unit: &str, prefix: &str) -> String {
    format!("{prefix}{} {unit}", number(value)).trim_end().to_owned()
}

/// Three significant digits, and all digits of a larger number.
fn number(value: f64) -> String {
    let text = match value.abs() {
        size if size >= 100.0 => return format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The size of etcd's database.
const DATABASE: &str = "load.database";

/// On what a figure depends: the figure, the number of what, and a factor for the unit.
const GROWTH: [(&str, &str, &str, Number, f64, &str); 12] = [
    ("requests at rest", "rest.requests", "nodes", Number::Nodes, 60.0, "/min"),
    ("bytes at rest", "rest.network", "nodes", Number::Nodes, 1.0, "KiB/s"),
    ("memory of the API server", "rest.memory", "objects", Number::Objects, 1024.0, "KiB"),
    ("memory of etcd", "rest.store.memory", "objects", Number::Objects, 1024.0, "KiB"),
    ("etcd's database", DATABASE, "objects", Number::Objects, 1024.0, "KiB"),
    ("bytes of a restart of all agents", "start.network", "nodes", Number::Nodes, 1.0, "MiB"),
    ("CPU time of a restart of all agents", "start.cpu", "nodes", Number::Nodes, 1e3, "ms"),
    (
        "CPU time of a change",
        "change.cpu",
        "nodes, each of which watches",
        Number::Nodes,
        1e3,
        "µs",
    ),
    ("memory of the leader", "leader.memory", "addresses", Number::Addresses, 1024.0, "KiB"),
    ("first list of the leader", "leader.list", "addresses", Number::Addresses, 1e6, "µs"),
    (
        "EC2 calls of the leader",
        "leader.ec2",
        "pages of interfaces",
        Number::One,
        1.0,
        "/min in all",
    ),
    ("EC2 calls of another agent", "agent.ec2", "nodes", Number::One, 1.0, "/min"),
];

/// A number on which a figure depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    One,
    Nodes,
    Addresses,
    Objects,
}

impl Number {
    fn of(self, fleet: Fleet) -> f64 {
        let nodes = f64::from(fleet.nodes);
        match self {
            Self::One => 1.0,
            Self::Nodes => nodes,
            Self::Addresses => nodes * f64::from(MEMBERS),
            Self::Objects => nodes * f64::from(PODS + 2 * MEMBERS),
        }
    }
}

/// What each of a number of things costs. A process without any has memory, too, and a database has
/// a size, so only the difference of two fleets shows what each needs.
fn each(record: &Record, before: Option<&Record>, id: &str, number: Number) -> Option<f64> {
    let figure = |record: &Record| {
        let figures = &record.figures;
        figures.get(&format!("{ON}{id}")).or_else(|| figures.get(id)).copied()
    };
    let (value, count) = (figure(record)?, number.of(record.fleet));
    if !id.ends_with(".memory") && id != DATABASE {
        return Some(value / count);
    }
    let before = before.filter(|before| before.fleet.nodes != record.fleet.nodes)?;
    Some((value - figure(before)?) / (count - number.of(before.fleet)))
}

/// A table of the figures for each thing on which they depend.
fn growth(record: &Record, before: Option<&Record>) -> String {
    let mut lines = vec![
        "| Figure | Grows with the number of | For each |".to_owned(),
        "| --- | --- | ---: |".to_owned(),
    ];
    for (what, id, with, number, factor, unit) in GROWTH {
        let Some(each) = each(record, before, id, number) else { continue };
        lines.push(format!("| {what} | {with} | {} |", shown(each * factor, unit, "")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(figures: &[(&str, f64)]) -> Record {
        Record {
            at: "2026-11-27T10:00:00Z".to_owned(),
            commit: "0123456789".to_owned(),
            kubernetes: "Kubernetes v1.37.2".to_owned(),
            build: "image".to_owned(),
            machine: Machine::look(),
            fleet: Fleet::scaled("1").unwrap(),
            minutes: 2,
            figures: figures.iter().map(|(id, value)| ((*id).to_owned(), *value)).collect(),
        }
    }

    #[test]
    fn figures_show_both_modes_and_the_earlier_run() {
        let new = record(&[("load.seconds", 61.25), ("on.rest.ec2", 0.05), ("off.rest.ec2", 0.3)]);
        let old = record(&[("on.rest.ec2", 11.6)]);
        let page = page(&new, Some(&old));
        assert!(page.contains("| time to create them |  |  | 61.2 s |  |"), "{page}");
        let row = "| EC2 calls of the whole fleet | ≤ 0.2 /s | met | 11.6 → 0.05 /s | 0.3 /s |";
        assert!(page.contains(row), "{page}");
        assert!(!page.contains("{{"), "{page}");
    }

    #[test]
    fn goals_are_those_of_the_whole_fleet_with_images() {
        let whole = record(&[("on.rest.ec2", 0.05)]);
        let part = Record { fleet: Fleet::scaled("0.1").unwrap(), ..whole.clone() };
        let debug = Record { build: "debug".to_owned(), ..whole };
        for record in [part, debug] {
            let page = page(&record, None);
            assert!(page.contains("| EC2 calls of the whole fleet | 0.05 /s |  |"), "{page}");
        }
    }

    #[test]
    fn memory_for_each_address_needs_two_fleets() {
        let whole = record(&[("on.leader.memory", 50.0), ("on.leader.list", 5.0)]);
        let mut part = record(&[("on.leader.memory", 14.0)]);
        assert_eq!(each(&whole, None, "leader.memory", Number::Addresses), None);
        assert_eq!(each(&whole, Some(&part), "leader.memory", Number::Addresses), None);
        part.fleet = Fleet::scaled("0.1").unwrap();
        let memory = each(&whole, Some(&part), "leader.memory", Number::Addresses).unwrap();
        assert!((memory * 45_000.0 - 36.0).abs() < 1e-6, "{memory}");
        let list = each(&whole, None, "leader.list", Number::Addresses).unwrap();
        assert!((list - 1e-4).abs() < 1e-9, "{list}");
    }

    #[test]
    fn growth_of_memory_and_database_is_that_from_a_fleet_of_another_size() {
        let figures = |database: f64| {
            [
                ("load.database", database),
                ("on.rest.memory", 9000.0),
                ("on.rest.store.memory", 1700.0),
                ("on.leader.memory", 61.0),
            ]
        };
        let whole = record(&figures(1550.0));
        let part = Record { fleet: Fleet::scaled("0.1").unwrap(), ..record(&figures(155.0)) };
        let alone = [growth(&whole, None), growth(&whole, Some(&whole))];
        let text = growth(&whole, Some(&part));
        for what in ["memory of the API server", "memory of etcd", "memory of the leader"] {
            assert!(text.contains(&format!("| {what} |")), "{what}: {text}");
            assert!(!alone.concat().contains(what), "{what}: {alone:?}");
        }
        // 1,395 MiB of 180,000 objects.
        assert!(text.contains("| etcd's database | objects | 7.94 KiB |"), "{text}");
        assert!(!alone.concat().contains("database"), "{alone:?}");
    }

    #[test]
    fn numbers_have_three_significant_digits() {
        let all = [0.0, 0.0504, 1.25, 33.333, 1234.5].map(number);
        assert_eq!(all, ["0", "0.05", "1.25", "33.3", "1234"]);
    }
}
