//! The writes of the agent of `node-a`.

use http::Method;
use serde_json::{Value, json};

use super::Cell;
use super::scene::{
    FREE, GATED, GONE, INTERFACES, MADE, MADE_ELSEWHERE, OTHER, OWN, PARKED, PODS, REPORTED, Who,
    volume_ready_by_node_b,
};
use crate::samples::{GROUP, node_interface, static_ip, with};

const ENI: &str = "eni-0123456789abcdef0";

pub(super) fn cells() -> Vec<Cell> {
    let of_claims = [claims(), volumes()].concat();
    let of_nodes = [reports(), capacity(), interfaces(), leases()].concat();
    [addresses(), adoptions(), statuses(), deletions(), of_claims, gated_pods(), of_nodes].concat()
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
    json!({ "pendingMutations": [{ "mutation": mutation, "eni": ENI, "run": "agent-1" }] })
}

/// The record of an attach that begins on this node.
fn acquired(node: &str, epoch: u64) -> Value {
    let mut spec = mark("Assign");
    spec["epoch"] = json!(epoch);
    spec["attachment"] = json!({
        "state": "Attaching", "podUID": "u-9", "nodeName": node, "eni": ENI, "run": "agent-1",
    });
    spec
}

fn addresses() -> Vec<Cell> {
    let mut unassigned = mark("Unassign");
    unassigned["epoch"] = json!(4);
    unassigned["attachment"] = json!({ "state": "Releasing", "eni": null });
    let mut other_eni = acquired("node-a", 4);
    other_eni["pendingMutations"][0]["eni"] = json!("eni-0123456789abcdef9");
    let mut forgets = acquired("node-a", 4);
    forgets["pendingMutations"] = json!([]);
    let path = format!("{GROUP}/staticips/{OWN}");
    let parks = json!({ "spec": { "attachment": { "state": "Parked" } } });
    vec![
        address("record a re-assert on its node", OWN, &mark("Assign")),
        attachment("release an address of its node", OWN, "state", "Parked"),
        attachment("release an address of a lost node", OTHER, "state", "Parked"),
        address("record the unassign of a lost node's address", OTHER, &unassigned),
        address("record the eviction of a parked address of its node", PARKED, &unassigned),
        attachment("give it to a pod", OWN, "podUID", "u-9").refused("the pod or the node"),
        attachment("give it to a node", OWN, "nodeName", "node-b").refused("the pod or the node"),
        attachment("move it to its own node", OTHER, "nodeName", "node-a")
            .refused("the pod or the node"),
        attachment("acquire a parked address", PARKED, "state", "Attached")
            .refused("without a new epoch"),
        address("acquire a parked address of its node", PARKED, &acquired("node-a", 4)),
        address("acquire an address of another node", OTHER, &acquired("node-a", 4)),
        address("acquire it for another node", PARKED, &acquired("node-b", 4))
            .refused("the pod or the node"),
        address("acquire it with the old epoch", PARKED, &acquired("node-a", 3))
            .refused("the pod or the node"),
        address("acquire it with the last epoch", PARKED, &acquired("node-a", i64::MAX as u64))
            .refused("a million at most"),
        address("acquire it and forget a pending call", OTHER, &forgets)
            .refused("the pod or the node"),
        address(
            "give a parked address to a node",
            PARKED,
            &json!({ "attachment": {
            "nodeName": "node-b" } }),
        )
        .refused("the pod or the node"),
        address("raise the epoch of a parked address", PARKED, &json!({ "epoch": 9 }))
            .refused("a million at most"),
        address("acquire it with an Assign of another ENI", PARKED, &other_eni)
            .refused("the pod or the node"),
        address("record an Assign of another node's address", OTHER, &mark("Assign"))
            .refused("release it"),
        address("change the epoch of another node's address", OTHER, &json!({ "epoch": 9 }))
            .refused("a million at most"),
        patch(Who::AgentWithoutPod, "release", &path, parks).refused("not bound to a pod"),
    ]
}

/// The adoption of an orphaned address, parked on `node-a`, and variants that must be rejected.
fn adoptions() -> Vec<Cell> {
    let orphaned = with(
        static_ip(FREE, "node-a", FREE),
        &[
            ("/spec/claimRef/namespace", json!("firecamp-orphaned")),
            ("/spec/attachment/state", json!("Parked")),
            ("/spec/attachment/podUID", json!("orphaned")),
            ("/spec/pendingMutations", json!([])),
        ],
    );
    let make = |who, what, changes: &[(&str, Value)]| {
        let path = format!("{GROUP}/staticips");
        Cell::new(who, what, (Method::POST, &path), with(orphaned.clone(), changes))
    };
    let other_eni = json!("eni-0123456789abcdef9");
    let mark = json!([{ "mutation": "Assign", "eni": ENI, "run": "agent-1" }]);
    let refused: [(&str, &str, Value); 9] = [
        ("allocate and attach at once", "/spec/claimRef/namespace", json!("prod")),
        ("allocate by another name", "/spec/claimRef/name", json!("redis-0")),
        ("adopt an attached address", "/spec/attachment/state", json!("Attached")),
        ("adopt an attaching address", "/spec/attachment/state", json!("Attaching")),
        ("adopt for a pod", "/spec/attachment/podUID", json!("u-9")),
        ("adopt on another node", "/spec/attachment/nodeName", json!("node-b")),
        ("adopt with another reservation", "/spec/reservedOn", other_eni),
        ("adopt with a pending Assign", "/spec/pendingMutations", mark),
        ("adopt without an attachment", "/spec/attachment", Value::Null),
    ];
    let refused = refused.into_iter().map(|(what, field, value)| {
        make(Who::Agent, what, &[(field, value)]).refused("only create a StaticIP for")
    });
    let bare = make(Who::AgentWithoutPod, "adopt an address", &[]).refused("not bound to a pod");
    let adopted = make(Who::Agent, "adopt an orphaned address", &[]);
    let member = [
        ("/spec/claimRef", json!({ "namespace": "prod", "name": "redis-7" })),
        ("/spec/attachment", Value::Null),
        ("/spec/reservedOn", Value::Null),
        ("/spec/epoch", json!(0)),
    ];
    let allocated = make(Who::Agent, "allocate for a new member", &member);
    refused.chain([bare, adopted, allocated]).collect()
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
        status("report on another node's address", OTHER, "Ready").refused("of its own node only"),
        status("report an address without a claim", OTHER, "Claimed"),
    ]
}

fn deletions() -> Vec<Cell> {
    let delete = |what, address: &str| {
        let path = format!("{GROUP}/staticips/{address}");
        Cell::new(Who::Agent, what, (Method::DELETE, &path), Value::Null)
    };
    vec![
        delete("delete a released address", GONE),
        delete("delete an attached address", OWN).refused("is not Released"),
        delete("delete a parked address", PARKED).refused("is not Released"),
    ]
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
    let audited = json!({ "type": "Audited", "status": "True", "reason": "ByHand" });
    vec![
        report(Who::Agent, "report on a claim's volume", json!([own])),
        report(Who::Agent, "remove its volume condition", json!([])),
        report(Who::Agent, "keep another node's condition", json!([others])),
        report(Who::Agent, "report that a claim has no address", json!([others, bound("False")])),
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
        Cell::new(Who::Agent, "create another node's object", (Method::POST, &all), object)
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

fn interfaces() -> Vec<Cell> {
    let record = |who, what, name: &str, spec: Value| {
        patch(who, what, &format!("{INTERFACES}/{name}"), json!({ "spec": spec }))
    };
    let new = |what, node: &str| {
        let changes = [
            ("/spec/nodeName", json!(node)),
            ("/spec/phase", json!("Creating")),
            ("/spec/eni", Value::Null),
        ];
        let object = with(node_interface("i-0000000e"), &changes);
        Cell::new(Who::Agent, what, (Method::POST, INTERFACES), object)
    };
    let made = format!("{INTERFACES}/{MADE}");
    let excluded = || json!({ "excluded": true });
    vec![
        new("record an interface of its node", "node-a"),
        new("record an interface of another node", "node-b").refused("of its own node"),
        record(Who::Agent, "record that it has excluded an interface", MADE, excluded()),
        record(Who::Agent, "exclude another node's interface", MADE_ELSEWHERE, excluded())
            .refused("only remove interfaces of other nodes"),
        record(
            Who::Agent,
            "drain the interface of a lost node",
            MADE_ELSEWHERE,
            json!({ "phase": "Draining" }),
        ),
        record(Who::AgentWithoutPod, "exclude an interface", MADE, excluded())
            .refused("not bound to a pod"),
        Cell::new(Who::Agent, "delete a record too early", (Method::DELETE, &made), Value::Null)
            .refused("set spec.phase to Draining"),
    ]
}

fn leases() -> Vec<Cell> {
    let all = "/apis/coordination.k8s.io/v1/namespaces/firecamp-system/leases";
    let path = format!("{all}/firecamp-agents");
    let held = |by: Value| json!({ "spec": { "holderIdentity": by } });
    let other = json!({ "metadata": { "name": "other" } });
    vec![
        patch(Who::Agent, "acquire the Lease", &path, held(json!("node-a_run"))),
        patch(Who::Agent, "renew it for another", &path, held(json!("node-b_run")))
            .refused("the Lease only for itself"),
        patch(Who::Agent, "acquire it with a longer node name", &path, held(json!("node-aa_run")))
            .refused("the Lease only for itself"),
        patch(Who::Agent, "release another node's Lease", &path, held(Value::Null))
            .refused("the Lease only for itself"),
        Cell::new(Who::Agent, "create another Lease", (Method::POST, all), other)
            .refused("only write the Lease"),
    ]
}

/// The changes of a gated pod. All of these the API server itself allows.
fn gated_pods() -> Vec<Cell> {
    let path = format!("{PODS}/{GATED}");
    let gates = |names: &[&str]| {
        let gates: Vec<Value> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "spec": { "schedulingGates": gates } })
    };
    let free = gates(&["example.com/quota"]);
    let with = |path: &str, value: Value| {
        let mut change = free.clone();
        change["spec"][path] = value;
        change
    };
    let zone = |key: &str| json!({ (key): "us-east-1a" });
    let image = json!([{ "name": "c", "image": "other" }]);
    let toleration = json!([{ "key": "k", "operator": "Exists", "effect": "NoSchedule" }]);
    let term = json!({ "matchExpressions": [{ "key": "k", "operator": "Exists" }] });
    let affinity = json!({ "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [term] } } });
    let mut labelled = free.clone();
    labelled["metadata"] = json!({ "labels": { "app": "other" } });
    let agent = |what, change| patch(Who::Agent, what, &path, change);
    let no_gate = patch(
        Who::Agent,
        "label a pod without a gate",
        &format!("{PODS}/redis-0"),
        json!({ "metadata": { "labels": { "app": "other" } } }),
    );
    let ours = "only remove the scheduling gate";
    let zone_only = "only add a zone";
    let nothing_else = "change nothing else of a pod";
    let zonal = with("nodeSelector", zone("topology.kubernetes.io/zone"));
    vec![
        agent("remove the zone gate", free.clone()),
        agent("remove the zone gate and add a zone", zonal.clone()),
        patch(Who::AgentWithoutPod, "remove the zone gate", &path, zonal)
            .refused("not bound to a pod"),
        agent("remove another gate", gates(&["firecamp.io/zone"])).refused(ours),
        agent("remove all gates", gates(&[])).refused(ours),
        agent(
            "add a zone and keep the gate",
            json!({ "spec": {
            "nodeSelector": zone("topology.kubernetes.io/zone") } }),
        )
        .refused(ours),
        no_gate.refused(ours),
        agent("add another label to the node selector", with("nodeSelector", zone("rack")))
            .refused(zone_only),
        agent("label it", labelled).refused(nothing_else),
        agent("change its image", with("containers", image)).refused(nothing_else),
        agent("add a toleration", with("tolerations", toleration)).refused(nothing_else),
        agent("add an affinity", with("affinity", affinity)).refused(nothing_else),
        agent("end it soon", with("activeDeadlineSeconds", json!(1))).refused(nothing_else),
    ]
}
