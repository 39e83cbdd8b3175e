//! Output for users and for programs.

use std::fmt::Write as _;
use std::io::Write;

use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::protocol::{Call, RouterEvent, Truth};

/// Writes text to standard output.
pub(super) fn out(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Failure::kernel("write to", "standard output", e))
}

/// One JSON value on one line.
pub(super) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|e| Failure::kernel("write", "JSON", std::io::Error::from(e)))?;
    out(&format!("{text}\n"))
}

/// One JSON value per line.
pub(super) fn lines(values: &[impl Serialize]) -> Result<(), Failure> {
    values.iter().try_for_each(json)
}

/// A table whose columns are as wide as their widest cell.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let pad = width.saturating_sub(cell.chars().count());
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', pad.saturating_add(2)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.iter().map(|&cell| cell.to_owned()).collect()
}

fn or_dash(text: Option<&str>) -> String {
    text.unwrap_or("-").to_owned()
}

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// The state: one line per address.
pub(super) fn truth(truth: &Truth) -> Result<(), Failure> {
    let mut rows = vec![row(["ADDRESS", "HELD AS", "OWNER", "NODE", "ROUTED TO", "LISTED ON"])];
    for address in &truth.addresses {
        let listed: Vec<&str> = address.imds.iter().map(|listing| listing.node.as_str()).collect();
        let listed = listed.join(",");
        rows.push(vec![
            address.address.to_string(),
            or_dash(address.held_as.as_deref()),
            or_dash(address.owner.as_deref()),
            or_dash(address.node.as_deref()),
            or_dash(address.routed_node.as_deref()),
            or_dash(Some(listed.as_str()).filter(|text| !text.is_empty())),
        ]);
    }
    let mut text = table(&rows);
    for violation in &truth.violations {
        let written = writeln!(text, "VIOLATION: {violation}");
        written.map_err(|e| Failure::kernel("format", "a violation", std::io::Error::other(e)))?;
    }
    out(&text)
}

/// The calls: one line each; calls that moved an address with the time of each step.
pub(super) fn calls(calls: &[Call]) -> Result<(), Failure> {
    let mut rows = vec![row(["N", "AT", "MS", "CALLER", "ACTION", "OUTCOME", "PARAMETERS"])];
    for call in calls {
        rows.push(vec![
            call.seq.to_string(),
            seconds(call.at_us),
            call.answered_at_us.map_or_else(|| "-".to_owned(), |at| millis(at, call.at_us)),
            call.caller.clone(),
            call.action.clone(),
            outcome(call),
            parameters(call),
        ]);
    }
    out(&table(&rows))
}

fn millis(at: u64, since: u64) -> String {
    let us = at.saturating_sub(since);
    format!("{}.{}", us / 1000, us % 1000 / 100)
}

fn outcome(call: &Call) -> String {
    let status = call.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let mut text = call.code.as_ref().map_or(status.clone(), |code| format!("{status} {code}"));
    if call.delivery != "answered" {
        text = format!("{text} ({})", call.delivery);
    }
    text
}

fn parameters(call: &Call) -> String {
    let mut words: Vec<String> =
        call.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
    for effect in &call.effects {
        let at = |time: Option<u64>| time.map_or_else(|| "-".to_owned(), |t| millis(t, call.at_us));
        words.push(format!(
            "[{} -> {}: committed {} ms, routed {} ms, listed {} ms]",
            effect.address,
            or_dash(effect.after.as_deref()),
            millis(effect.committed_at_us, call.at_us),
            at(effect.routed_at_us),
            at(effect.imds_at_us)
        ));
    }
    words.join(" ")
}

/// Changes of the router's routes.
pub(super) fn events(events: &[RouterEvent]) -> Result<(), Failure> {
    let mut rows = vec![row(["N", "AT", "ADDRESS", "NODE", "ENI"])];
    for event in events {
        rows.push(vec![
            event.seq.to_string(),
            seconds(event.routed.at_us),
            event.routed.address.to_string(),
            or_dash(event.routed.node.as_deref()),
            or_dash(event.routed.eni.as_deref()),
        ]);
    }
    out(&table(&rows))
}

/// Faults with their counters.
pub(super) fn faults(faults: &[Value], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return lines(faults);
    }
    let mut rows = vec![row(["ID", "MATCHED", "FIRED", "FAULT", "WHEN"])];
    for fault in faults {
        let field = |pointer: &str| fault.pointer(pointer).map_or_else(String::new, text_of);
        rows.push(vec![
            field("/id"),
            field("/matched"),
            field("/fired"),
            field("/spec/fault"),
            field("/spec/when"),
        ]);
    }
    out(&table(&rows))
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
