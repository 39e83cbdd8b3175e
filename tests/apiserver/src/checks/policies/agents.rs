//! The writes of agents. Cells are of the agent of `node-a`, unless they name another one.

mod addresses;
mod claims;
mod names;
mod nodes;
mod pods;

use http::Method;
use serde_json::{Value, json};

use super::Cell;
use super::scene::Who;

pub(super) fn cells(live_elsewhere: &str, taints: &[Value]) -> Vec<Cell> {
    [
        addresses::cells(live_elsewhere),
        claims::cells(),
        names::cells(),
        nodes::cells(taints),
        pods::cells(),
    ]
    .concat()
}

/// Another agent becomes the leader.
pub(super) fn takeover() -> Cell {
    nodes::takeover()
}

fn patch(who: Who, what: &'static str, path: &str, body: Value) -> Cell {
    Cell::new(who, what, (Method::PATCH, path), body)
}

fn condition(kind: &str) -> Value {
    json!({ "status": { "conditions": [
        { "type": kind, "status": "False", "reason": "Asked", "message": "" },
    ]}})
}
