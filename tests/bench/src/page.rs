//! Generates docs/proof/PERFORMANCE.md from the saved results.

use std::path::{Path, PathBuf};

use crate::catalogue::{ALL, Compared, Entry, find};
use crate::failure::Failure;
use crate::figures::{Figure, Record};
use crate::history;
use crate::table::{goal, place, value_of, verdict};

/// The path of the saved results in the repository.
pub(crate) const HISTORY: &str = "docs/proof/performance/history.jsonl";
/// The path of the page in the repository.
const PAGE: &str = "docs/proof/PERFORMANCE.md";
/// The text of the page.
const TEMPLATE: &str = include_str!("page.md");

/// The number of results that the page compares.
const SHOWN: usize = 8;
/// The figures that it compares.
const COMPARED: [&str; 9] = [
    "init.same",
    "endpoint.init.same",
    "init.moved",
    "endpoint.init.moved",
    "outage.moved",
    "storm.ratio",
    "rss.moved",
    "kernel.add",
    "image.unpacked",
];

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Writes the page, or only checks that it is up to date.
pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let problem = if check { out_of_date(&root()) } else { write(&root()).map(|()| None) }?;
    problem.map_or(Ok(()), |problem| Err(Failure::new(problem)))
}

/// Describes how the page is out of date, if it is. With `bless`, writes it first.
pub fn check(bless: bool) -> Result<Option<String>, String> {
    if bless {
        write(&root()).map_err(|failure| failure.to_string())?;
    }
    out_of_date(&root()).map_err(|failure| failure.to_string())
}

fn write(root: &Path) -> Result<(), Failure> {
    let text = page(&history::read(&root.join(HISTORY))?)?;
    std::fs::write(root.join(PAGE), text).map_err(Failure::of(format!("write {PAGE}")))
}

fn out_of_date(root: &Path) -> Result<Option<String>, Failure> {
    let wanted = page(&history::read(&root.join(HISTORY))?)?;
    let found = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
    let problem = format!("{PAGE} is out of date with {HISTORY}: run `make bless`");
    Ok((found != wanted).then_some(problem))
}

/// The page of these results.
fn page(records: &[Record]) -> Result<String, Failure> {
    let newest = records.last().ok_or_else(|| Failure::new(format!("{HISTORY} is empty")))?;
    Ok(TEMPLATE
        .replace("{{place}}", &place(newest))
        .replace("{{figures}}", figures(newest).trim())
        .replace("{{history}}", &compared(records)))
}

fn figures(record: &Record) -> String {
    let mut lines = Vec::new();
    let mut group = "";
    for figure in &record.figures {
        let Some(entry) = find(&figure.id) else { continue };
        if entry.group != group {
            group = entry.group;
            lines.push(String::new());
            lines.push(format!("| {group} | Goal | | Median | p10 – p90 | n |"));
            lines.push("| --- | ---: | --- | ---: | ---: | ---: |".to_owned());
        }
        lines.push(row(entry, figure));
    }
    lines.extend(record.missing.iter().map(|what| format!("\nNot measured there: {what}.")));
    lines.join("\n")
}

fn row(entry: &Entry, figure: &Figure) -> String {
    let show = |value| value_of(value, entry.unit);
    let spread = &figure.spread;
    let median = format!("{} {}", show(spread.median), entry.unit.as_str());
    let mut verdict = verdict(entry, spread).to_owned();
    if entry.is_met(spread) == Some(false) && matches!(entry.goal, Some((_most, Compared::Max))) {
        // No other column shows the maximum.
        verdict = format!("{verdict}: {}", show(spread.max));
    }
    format!(
        "| {} | {} | {} | {} | {} – {} | {} |",
        entry.what,
        goal(entry),
        verdict,
        median.trim_end(),
        show(spread.p10),
        show(spread.p90),
        spread.n
    )
}

/// A table of the medians of the latest results, newest last.
fn compared(records: &[Record]) -> String {
    let entries: Vec<&Entry> = ALL.iter().filter(|e| COMPARED.contains(&e.id)).collect();
    let names: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.id)).collect();
    let mut lines = vec![
        format!("| When | Commit | Load | {} |", names.join(" | ")),
        format!("| --- | --- | ---: |{}", " ---: |".repeat(entries.len())),
    ];
    for record in records.iter().skip(records.len().saturating_sub(SHOWN)) {
        let cells: Vec<String> = entries.iter().map(|entry| cell(record, entry)).collect();
        let Record { at, commit, machine, .. } = record;
        lines.push(format!("| {at} | {commit} | {} | {} |", machine.load.0, cells.join(" | ")));
    }
    lines.join("\n")
}

fn cell(record: &Record, entry: &Entry) -> String {
    let Some(figure) = record.figure(entry.id) else { return String::new() };
    let value = value_of(figure.spread.median, entry.unit);
    format!("{value} {}", entry.unit.as_str()).trim_end().to_owned()
}
