//! StaticIPClaims and their statuses.

use http::Method;
use serde_json::{Value, json};

use super::super::Cell;
use super::super::scene::{NAMED, OTHER, OWN, REPORTED, Who, volume_ready_by_node_b};
use super::patch;
use crate::samples::GROUP;

pub(super) fn cells() -> Vec<Cell> {
    [claims(), volumes()].concat()
}

fn claims() -> Vec<Cell> {
    let path = format!("{GROUP}/namespaces/prod/staticipclaims/redis-1");
    let note = json!({ "metadata": { "annotations": { "firecamp.io/statefulset": "redis" } } });
    let bind = json!({ "spec": { "address": OWN } });
    let requests = json!({ "spec": { "requestedAddress": OTHER } });
    let new = json!({ "apiVersion": "firecamp.io/v1alpha1", "kind": "StaticIPClaim",
        "metadata": { "name": "redis-6" }, "spec": { "pool": "pool" } });
    let all = format!("{GROUP}/namespaces/prod/staticipclaims");
    let delete = (Method::DELETE, path.as_str());
    vec![
        patch(Who::AgentWithoutPod, "record the owner of a claim", &path, note.clone())
            .refused("not bound to a pod"),
        patch(Who::Agent, "record the owner of a claim", &path, note),
        Cell::new(Who::Agent, "create the claim of a new member", (Method::POST, &all), new),
        patch(Who::Agent, "bind a claim", &path, bind),
        patch(Who::Agent, "request an address for a member", &path, requests)
            .refused("its requested address"),
        Cell::new(Who::Agent, "delete an unused claim", delete.clone(), Value::Null),
        Cell::new(Who::AgentWithoutPod, "delete a claim", delete, Value::Null)
            .refused("not bound to a pod"),
    ]
}

/// The volume condition of the claim of `redis-8`, which `node-b` has already set.
fn volumes() -> Vec<Cell> {
    let path = format!("{GROUP}/namespaces/prod/staticipclaims/{REPORTED}/status");
    let report = |who, what, conditions: Value| {
        patch(who, what, &path, json!({ "status": { "conditions": conditions } }))
    };
    let condition = |kind: &str, message: &str| json!({ "type": kind, "status": "False", "reason": "Busy", "message": message });
    let own = condition("VolumeReady", "node-a (i-a): volume v");
    let others = volume_ready_by_node_b();
    let bound = |status: &str| json!({ "type": "Bound", "status": status, "reason": "Asked" });
    let named = format!("{GROUP}/namespaces/prod/staticipclaims/{NAMED}/status");
    let named_bound = json!({ "status": { "conditions": [bound("True")] } });
    let audited = json!({ "type": "Audited", "status": "True", "reason": "ByHand" });
    vec![
        report(Who::Agent, "report on a claim's volume", json!([own])),
        report(Who::Agent, "remove its volume condition", json!([])),
        report(Who::Agent, "keep another node's condition", json!([others])),
        report(Who::Agent, "report that a claim has no address", json!([others, bound("False")])),
        patch(Who::Agent, "report that a claim has an address", &named, named_bound),
        report(
            Who::Agent,
            "report an address that it does not have",
            json!([others, bound("True")]),
        )
        .refused("without an address is not Bound"),
        report(
            Who::Agent,
            "report in another node's name",
            json!([condition("VolumeReady", "node-b (i-b): other")]),
        )
        .refused("must begin with the node"),
        report(
            Who::Agent,
            "report with a longer node name",
            json!([condition("VolumeReady", "node-aa (i-aa): other")]),
        )
        .refused("must begin with the node"),
        report(
            Who::Agent,
            "report without a node name",
            json!([condition("VolumeReady", "volume v")]),
        )
        .refused("must begin with the node"),
        report(Who::Agent, "set another condition of a claim", json!([others, audited]))
            .refused("only set the conditions"),
        report(Who::AgentWithoutPod, "report on a claim's volume", json!([own]))
            .refused("not bound to a pod"),
    ]
}
