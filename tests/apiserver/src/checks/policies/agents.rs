//! What the agent of `node-a` may write.

use http::Method;
use serde_json::{Value, json};

use super::Cell;
use super::scene::{FREE, GONE, OTHER, OWN, PARKED, SPOKEN_OF, Who, volume_ready_by_node_b};
use crate::samples::{GROUP, static_ip, with};

const ENI: &str = "eni-0123456789abcdef0";

pub(super) fn cells() -> Vec<Cell> {
    let of_claims = [claims(), volumes()].concat();
    [addresses(), adoptions(), statuses(), deletions(), of_claims, reports(), capacity(), leases()]
        .concat()
}

fn patch(who: Who, what: &'static str, path: &str, body: Value) -> Cell {
    Cell::new(who, what, (Method::PATCH, path), body)
}

fn address(what: &'static str, address: &str, spec: &Value) -> Cell {
    patch(Who::Agent, what, &format!("{GROUP}/staticips/{address}"), json!({ "spec": spec }))
}

fn attachment(what: &'static str, of: &str, field: &str, value: &str) -> Cell {
    address(what, of, &json!({ "attachment": { (field): value } }))
}

fn mark(mutation: &str) -> Value {
    json!({ "unsettled": [{ "mutation": mutation, "eni": ENI, "run": "agent-1" }] })
}

fn addresses() -> Vec<Cell> {
    let mut unassigned = mark("Unassign");
    unassigned["epoch"] = json!(4);
    unassigned["attachment"] = json!({ "state": "Releasing", "eni": null });
    let path = format!("{GROUP}/staticips/{OWN}");
    let parks = json!({ "spec": { "attachment": { "state": "Parked" } } });
    vec![
        address("mark a re-assert of its node's", OWN, &mark("Assign")),
        attachment("release its node's", OWN, "state", "Parked"),
        attachment("release a gone node's", OTHER, "state", "Parked"),
        address("take a gone node's out of EC2", OTHER, &unassigned),
        attachment("give it to a pod", OWN, "podUID", "u-9").refused("the pod or the node"),
        attachment("give it to a node", OWN, "nodeName", "node-b").refused("the pod or the node"),
        attachment("pull it here", OTHER, "nodeName", "node-a").refused("the pod or the node"),
        attachment("take what is parked", PARKED, "state", "Attached")
            .refused("not acquire an address"),
        address("mark an Assign of another's", OTHER, &mark("Assign")).refused("release it"),
        address("change another's epoch", OTHER, &json!({ "epoch": 9 })).refused("release it"),
        patch(Who::AgentWithoutPod, "release", &path, parks).refused("not bound to a pod"),
    ]
}

/// An address that nobody claims, parked on `node-a`, and what makes it another one.
fn adoptions() -> Vec<Cell> {
    let nobodys = with(
        static_ip(FREE, "node-a", FREE),
        &[
            ("/spec/claimRef/namespace", json!("firecamp-unclaimed")),
            ("/spec/attachment/state", json!("Parked")),
            ("/spec/attachment/podUID", json!("unclaimed")),
            ("/spec/unsettled", json!([])),
        ],
    );
    let make = |who, what, changes: &[(&str, Value)]| {
        let path = format!("{GROUP}/staticips");
        Cell::new(who, what, (Method::POST, &path), with(nobodys.clone(), changes))
    };
    let other_eni = json!("eni-0123456789abcdef9");
    let mark = json!([{ "mutation": "Assign", "eni": ENI, "run": "agent-1" }]);
    let refused: [(&str, &str, Value); 9] = [
        ("allocate for a member", "/spec/claimRef/namespace", json!("prod")),
        ("allocate by another name", "/spec/claimRef/name", json!("redis-0")),
        ("adopt what is attached", "/spec/attachment/state", json!("Attached")),
        ("adopt what is being attached", "/spec/attachment/state", json!("Attaching")),
        ("adopt for a pod", "/spec/attachment/podUID", json!("u-9")),
        ("adopt on another node", "/spec/attachment/nodeName", json!("node-b")),
        ("adopt what is elsewhere", "/spec/reservedOn", other_eni),
        ("adopt and mark an Assign", "/spec/unsettled", mark),
        ("adopt without an attachment", "/spec/attachment", Value::Null),
    ];
    let refused = refused.into_iter().map(|(what, field, value)| {
        make(Who::Agent, what, &[(field, value)]).refused("only create a StaticIP for")
    });
    let bare = make(Who::AgentWithoutPod, "adopt an address", &[]).refused("not bound to a pod");
    let adopted = make(Who::Agent, "adopt what nobody claims", &[]);
    refused.chain([bare, adopted]).collect()
}

fn condition(kind: &str) -> Value {
    json!({ "status": { "conditions": [
        { "type": kind, "status": "False", "reason": "Asked", "message": "" },
    ]}})
}

fn statuses() -> Vec<Cell> {
    let status = |what, address: &str, kind| {
        let path = format!("{GROUP}/staticips/{address}/status");
        patch(Who::Agent, what, &path, condition(kind))
    };
    vec![
        status("report on its node's address", OWN, "Ready"),
        status("report on another's address", OTHER, "Ready").refused("of its own node only"),
        status("say that nobody claims an address", OTHER, "Claimed"),
    ]
}

fn deletions() -> Vec<Cell> {
    let delete = |what, address: &str| {
        let path = format!("{GROUP}/staticips/{address}");
        Cell::new(Who::Agent, what, (Method::DELETE, &path), Value::Null)
    };
    vec![
        delete("give back what is out of EC2", GONE),
        delete("delete what is attached", OWN).refused("is not Released"),
        delete("delete what is parked", PARKED).refused("is not Released"),
    ]
}

fn claims() -> Vec<Cell> {
    let path = format!("{GROUP}/namespaces/prod/staticipclaims/redis-1");
    let note = json!({ "metadata": { "annotations": { "firecamp.io/statefulset": "redis" } } });
    let bind = json!({ "spec": { "address": OWN } });
    let delete = (Method::DELETE, path.as_str());
    vec![
        patch(Who::Agent, "record the owner of a claim", &path, note),
        patch(Who::Agent, "bind a claim", &path, bind).refused("but not its spec"),
        Cell::new(Who::Agent, "delete a claim that nobody wants", delete.clone(), Value::Null),
        Cell::new(Who::AgentWithoutPod, "delete a claim", delete, Value::Null)
            .refused("not bound to a pod"),
    ]
}

/// What is said of the volumes of the claim of `redis-8`, of which `node-b` has spoken already.
fn volumes() -> Vec<Cell> {
    let path = format!("{GROUP}/namespaces/prod/staticipclaims/{SPOKEN_OF}/status");
    let say = |who, what, conditions: Value| {
        patch(who, what, &path, json!({ "status": { "conditions": conditions } }))
    };
    let said = |kind: &str, message: &str| json!({ "type": kind, "status": "False", "reason": "Busy", "message": message });
    let own = said("VolumeReady", "node-a (i-a): volume v");
    let others = volume_ready_by_node_b();
    let bound = |status: &str| json!({ "type": "Bound", "status": status, "reason": "Asked" });
    let audited = json!({ "type": "Audited", "status": "True", "reason": "ByHand" });
    vec![
        say(Who::Agent, "tell of a claim's volume", json!([own])),
        say(Who::Agent, "take back what was told", json!([])),
        say(Who::Agent, "leave what another told", json!([others])),
        say(Who::Agent, "tell that a claim lacks an address", json!([others, bound("False")])),
        say(Who::Agent, "tell that it has one, which it lacks", json!([others, bound("True")]))
            .refused("without an address is not Bound"),
        say(
            Who::Agent,
            "tell it in another's name",
            json!([said("VolumeReady", "node-b (i-b): other")]),
        )
        .refused("must begin with the node"),
        say(
            Who::Agent,
            "tell it by a longer name",
            json!([said("VolumeReady", "node-aa (i-aa): other")]),
        )
        .refused("must begin with the node"),
        say(Who::Agent, "tell it in nobody's name", json!([said("VolumeReady", "volume v")]))
            .refused("must begin with the node"),
        say(Who::Agent, "tell something else of a claim", json!([others, audited]))
            .refused("only set the conditions"),
        say(Who::AgentWithoutPod, "tell of a claim's volume", json!([own]))
            .refused("not bound to a pod"),
    ]
}

fn reports() -> Vec<Cell> {
    let all = format!("{GROUP}/nodeattachments");
    let status = |who, what, node: &str| {
        patch(who, what, &format!("{all}/{node}/status"), condition("Ready"))
    };
    let object = json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "NodeAttachments",
        "metadata": { "name": "node-c" },
    });
    vec![
        status(Who::Agent, "report on its node", "node-a"),
        status(Who::Agent, "report on another node", "node-b").refused("its own node only"),
        status(Who::AgentWithoutPod, "report on a node", "node-a").refused("its own node only"),
        Cell::new(Who::Agent, "make another node's object", (Method::POST, &all), object)
            .refused("its own node only"),
    ]
}

fn capacity() -> Vec<Cell> {
    let node = |what, node: &str, body| {
        patch(Who::Agent, what, &format!("/api/v1/nodes/{node}/status"), body)
    };
    let of = |resource: &str| json!({ "status": { "capacity": { (resource): "9" } } });
    let taint = json!({ "metadata": { "labels": { "zone": "other" } } });
    let down = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    vec![
        node("publish its slots", "node-a", of("firecamp.io/static-ip")),
        node("publish another's slots", "node-b", of("firecamp.io/static-ip"))
            .refused("its own node only"),
        node("publish processors", "node-a", of("cpu")).refused("only set the capacity of"),
        node("publish a resource", "node-a", of("example.com/gpu"))
            .refused("only set the capacity of"),
        node("label its node", "node-a", taint).refused("only change the capacity"),
        node("say that its node is down", "node-a", down).refused("only change the capacity"),
    ]
}

fn leases() -> Vec<Cell> {
    let all = "/apis/coordination.k8s.io/v1/namespaces/firecamp-system/leases";
    let path = format!("{all}/firecamp-agents");
    let held = |by: Value| json!({ "spec": { "holderIdentity": by } });
    let other = json!({ "metadata": { "name": "other" } });
    vec![
        patch(Who::Agent, "take the Lease", &path, held(json!("node-a_run"))),
        patch(Who::Agent, "renew it for another", &path, held(json!("node-b_run")))
            .refused("the Lease only for itself"),
        patch(Who::Agent, "take it by a longer name", &path, held(json!("node-aa_run")))
            .refused("the Lease only for itself"),
        patch(Who::Agent, "give back another's", &path, held(Value::Null))
            .refused("the Lease only for itself"),
        Cell::new(Who::Agent, "make another Lease", (Method::POST, all), other)
            .refused("only write the Lease"),
    ]
}
