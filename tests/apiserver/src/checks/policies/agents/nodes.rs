//! Nodes, their NodeAttachments and NodeInterfaces, and the Lease.

use http::Method;
use serde_json::{Value, json};

use super::super::Cell;
use super::super::scene::{DELETED, INTERFACES, LEASES, MADE, MADE_ELSEWHERE, NODES, TAINT, Who};
use super::{condition, patch};
use crate::samples::{GROUP, node_interface, with};

const ENI: &str = "eni-0123456789abcdef0";

/// `taints`: those of the nodes, without that of FireCamp.
pub(super) fn cells(taints: &[Value]) -> Vec<Cell> {
    [reports(), capacity(), specs(taints), interfaces(), leases()].concat()
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
        Cell::new(Who::AgentOfC, "create its node's object", (Method::POST, &all), object.clone()),
        Cell::new(Who::Agent, "create another node's object", (Method::POST, &all), object)
            .refused("its own node only"),
    ]
}

fn capacity() -> Vec<Cell> {
    let node =
        |what, node: &str, body| patch(Who::Agent, what, &format!("{NODES}/{node}/status"), body);
    let of = |resource: &str| json!({ "status": { "capacity": { (resource): "9" } } });
    let taint = json!({ "metadata": { "labels": { "zone": "other" } } });
    let down = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    vec![
        node("publish its slots", "node-a", of("firecamp.io/static-ip")),
        node("publish slots of a pool's own resource", "node-a", of("firecamp.io/static-ip-b")),
        node("publish another node's slots of it", "node-b", of("firecamp.io/static-ip-b"))
            .refused("its own node only"),
        node("publish a resource of the domain", "node-a", of("firecamp.io/static-ips"))
            .refused("only set the capacity of"),
        node("publish its name in another domain", "node-a", of("example.com/static-ip-b"))
            .refused("only set the capacity of"),
        node("publish another node's slots", "node-b", of("firecamp.io/static-ip"))
            .refused("its own node only"),
        node("publish CPU capacity", "node-a", of("cpu")).refused("only set the capacity of"),
        node("publish a resource", "node-a", of("example.com/gpu"))
            .refused("only set the capacity of"),
        node("label its node", "node-a", taint).refused("only change the capacity"),
        node("report its node as down", "node-a", down).refused("only change the capacity"),
    ]
}

fn specs(taints: &[Value]) -> Vec<Cell> {
    let node = |who, what, node: &str, spec: Value| {
        patch(who, what, &format!("{NODES}/{node}"), json!({ "spec": spec }))
    };
    let untainted = || json!({ "taints": taints });
    let ours = json!([{ "key": TAINT, "effect": "NoSchedule" }]);
    let more = json!({ "key": "example.com/gpu", "effect": "NoSchedule" });
    let more: Vec<Value> = taints.iter().cloned().chain([more]).collect();
    let cordon = json!({ "taints": taints, "unschedulable": true });
    let labels = json!({ "metadata": { "labels": { "zone": "other" } } });
    let nothing_else = "only change the capacity";
    vec![
        node(Who::Agent, "remove the startup taint", "node-a", untainted()),
        node(Who::Agent, "remove another node's startup taint", "node-b", untainted())
            .refused("its own node only"),
        node(Who::AgentWithoutPod, "remove a startup taint", "node-a", untainted())
            .refused("its own node only"),
        node(Who::Agent, "remove other taints", "node-a", json!({ "taints": ours }))
            .refused(nothing_else),
        node(Who::Agent, "remove all taints", "node-a", json!({ "taints": [] }))
            .refused(nothing_else),
        node(Who::Agent, "add a taint", "node-a", json!({ "taints": more })).refused(nothing_else),
        node(Who::Agent, "cordon its node", "node-a", cordon).refused(nothing_else),
        patch(Who::Agent, "label its node by its spec", &format!("{NODES}/node-a"), labels)
            .refused(nothing_else),
    ]
}

fn interfaces() -> Vec<Cell> {
    let record = |who, what, name: &str, spec: Value| {
        patch(who, what, &format!("{INTERFACES}/{name}"), json!({ "spec": spec }))
    };
    let new = |what, node: &str, phase: &str, eni: Value| {
        let changes =
            [("/spec/nodeName", json!(node)), ("/spec/phase", json!(phase)), ("/spec/eni", eni)];
        let object = with(node_interface("i-0000000e"), &changes);
        Cell::new(Who::Agent, what, (Method::POST, INTERFACES), object)
    };
    let made = format!("{INTERFACES}/{MADE}");
    let gone = format!("{INTERFACES}/{DELETED}");
    let excluded = || json!({ "excluded": true });
    let own = "of its own node";
    let drained = |phase: &str| json!({ "phase": phase, "excluded": true });
    let delete = |who, what, path: &str| Cell::new(who, what, (Method::DELETE, path), Value::Null);
    vec![
        new("record an interface of its node", "node-a", "Creating", Value::Null),
        new("record another node's interface", "node-b", "Creating", Value::Null).refused(own),
        new("record an interface to remove", "node-a", "Draining", Value::Null).refused(own),
        new("record an interface that exists", "node-a", "Creating", json!(ENI)).refused(own),
        record(Who::Agent, "record that it has excluded an interface", MADE, excluded()),
        record(Who::Agent, "exclude another node's interface", MADE_ELSEWHERE, excluded())
            .refused("only remove interfaces of other nodes"),
        record(
            Who::Agent,
            "drain the interface of a lost node",
            MADE_ELSEWHERE,
            drained("Draining"),
        ),
        record(
            Who::Agent,
            "delete the interface of a lost node",
            MADE_ELSEWHERE,
            drained("Deleting"),
        ),
        record(Who::AgentWithoutPod, "exclude an interface", MADE, excluded())
            .refused("not bound to a pod"),
        delete(Who::Agent, "delete a record", &gone),
        delete(Who::AgentWithoutPod, "delete a record", &gone).refused("not bound to a pod"),
        delete(Who::Agent, "delete a record too early", &made)
            .refused("set spec.phase to Draining"),
        delete(Who::Person, "delete a record too early", &made)
            .refused("set spec.phase to Draining"),
    ]
}

/// Another agent becomes the leader.
pub(super) fn takeover() -> Cell {
    takeover_with(&json!({}))
}

fn takeover_with(metadata: &Value) -> Cell {
    let path = format!("{LEASES}/firecamp-agents");
    let body = json!({ "metadata": metadata, "spec": { "holderIdentity": "node-a_run",
        "renewTime": "2036-11-20T15:00:00.000000Z" } });
    patch(Who::Agent, "acquire the Lease", &path, body)
}

/// The agent of `node-b` is the leader, and has just renewed the Lease.
fn leases() -> Vec<Cell> {
    let path = format!("{LEASES}/firecamp-agents");
    let held = |by: Value| json!({ "spec": { "holderIdentity": by } });
    let other = json!({ "metadata": { "name": "other" } });
    let (itself, renewed) = ("the Lease only for itself", "has renewed the Lease within");
    let fields = json!({ "f:holderIdentity": {}, "f:leaseDurationSeconds": {} });
    let forged = json!([{ "manager": "other", "operation": "Update",
        "apiVersion": "coordination.k8s.io/v1", "time": "2036-11-20T15:00:00Z",
        "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": fields } }]);
    vec![
        patch(Who::AgentOfB, "renew its Lease", &path, held(json!("node-b_run"))),
        patch(Who::AgentOfB, "acquire its Lease after a restart", &path, held(json!("node-b_2"))),
        patch(Who::AgentOfB, "release its Lease", &path, held(Value::Null)),
        takeover().refused(renewed),
        takeover_with(&json!({ "managedFields": forged })).refused(renewed),
        takeover_with(&json!({ "managedFields": [{}] })).refused(renewed),
        patch(Who::Agent, "renew it for another", &path, held(json!("node-b_run"))).refused(itself),
        patch(Who::Agent, "acquire it with a longer node name", &path, held(json!("node-aa_run")))
            .refused(itself),
        patch(Who::Agent, "release another node's Lease", &path, held(Value::Null)).refused(itself),
        patch(Who::AgentWithoutPod, "acquire the Lease", &path, held(json!("node-a_run")))
            .refused("only write the Lease"),
        Cell::new(Who::Agent, "create another Lease", (Method::POST, LEASES), other)
            .refused("only write the Lease"),
    ]
}
