//! The tables of docs/status.md match the code.

use firecamp_controllers::publish::{AddressReason, EventReason};

#[test]
fn every_reason_is_in_the_documentation_with_its_meaning() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/status.md");
    let text = std::fs::read_to_string(path).unwrap();
    let addresses = AddressReason::ALL.map(|reason| {
        format!("| {reason} | {} s | {} |", reason.patience().as_secs(), reason.meaning())
    });
    let events = EventReason::ALL.map(|reason| {
        let kind = if reason.warns() { "Warning" } else { "Normal" };
        format!("| {reason} | {kind} | {} |", reason.meaning())
    });
    for row in addresses.iter().chain(&events) {
        assert!(text.lines().any(|line| line == row), "docs/status.md has no row {row}");
    }
}
