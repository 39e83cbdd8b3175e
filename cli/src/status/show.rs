//! Formats the rows as text.

use firecamp_core::ids::Member;
use firecamp_registry::api::AttachmentState;
use jiff::Timestamp;

use super::rows::{MemberStatus, StatusReport};
use crate::common::age;
use crate::common::table::table;

const NARROW: [&str; 9] =
    ["MEMBER", "CLAIM", "ADDRESS", "NODE", "ENI", "EPOCH", "STATE", "AGE", "PROBLEM"];
const WIDE: [&str; 5] = ["POOL", "SUBNET", "ZONE", "POD-UID", "IN-FLIGHT"];

/// Members as a table, or why there are none; then the objects that could not be read.
pub(crate) fn people(
    report: &StatusReport,
    missing: Option<&Member>,
    now: Timestamp,
    wide: bool,
) -> String {
    let mut text = String::new();
    if let Some(member) = missing {
        text = format!(
            "{member} has neither a StaticIPClaim nor a StaticIP in {}: its init container has not \
             run yet, or the name is wrong; `firecamp status` lists all members\n",
            report.registry
        );
    } else if report.members.is_empty() {
        text = format!("No members found in {}\n", report.registry);
    } else {
        let rows: Vec<_> = report.members.iter().map(|one| row(one, now, wide)).collect();
        let more = if wide { &WIDE[..] } else { &[] };
        text.push_str(&table(&[&NARROW[..], more].concat(), &rows));
    }
    for one in &report.unread {
        text.extend([format!("could not be read: {}: {}\n", one.what, one.why)]);
    }
    text
}

fn row(row: &MemberStatus, now: Timestamp, wide: bool) -> Vec<String> {
    let holder = row.holder.as_ref();
    let text = |of: &Option<String>| of.clone().unwrap_or_default();
    let problem = row.problem.as_ref();
    let problem = problem.map(|one| format!("{}: {}", one.reason, one.message));
    let mut cells = vec![
        row.member.clone(),
        row.claim.as_str().to_owned(),
        text(&row.address),
        holder.map(|one| text(&one.node)).unwrap_or_default(),
        holder.map(|one| text(&one.eni)).unwrap_or_default(),
        holder.map(|one| one.epoch.to_string()).unwrap_or_default(),
        holder.and_then(|one| one.state).map_or("", state).to_owned(),
        age::of(row.created.as_deref(), now).unwrap_or_default(),
        problem.unwrap_or_default(),
    ];
    if wide {
        cells.extend([
            row.pool.clone(),
            holder.map(|one| one.subnet.clone()).unwrap_or_default(),
            holder.map(|one| one.zone.clone()).unwrap_or_default(),
            holder.map(|one| text(&one.pod_uid)).unwrap_or_default(),
            holder.map(|one| one.pending_mutations.to_string()).unwrap_or_default(),
        ]);
    }
    cells
}

/// The name in the API.
pub(crate) fn state(state: AttachmentState) -> &'static str {
    match state {
        AttachmentState::Attaching => "Attaching",
        AttachmentState::Attached => "Attached",
        AttachmentState::Parked => "Parked",
        AttachmentState::Releasing => "Releasing",
        AttachmentState::Released => "Released",
    }
}
