//! StaticIPs, their statuses and their deletion.

use http::Method;
use serde_json::{Value, json};

use super::super::Cell;
use super::super::scene::{BEGUN, FREE, GONE, LEAVING, NEW, OTHER, OWN, PARKED, Who};
use super::{condition, patch};
use crate::samples::{GROUP, static_ip, with};

const ENI: &str = "eni-0123456789abcdef0";
const OTHER_ENI: &str = "eni-0123456789abcdef9";

pub(super) fn cells(live_elsewhere: &str) -> Vec<Cell> {
    let written =
        [acquisitions(live_elsewhere), unlike_acquisitions(), releases(), others()].concat();
    [written, adoptions(), finalizers(), statuses(), deletions()].concat()
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

/// The same with changes.
fn acquired_with(changes: &[(&str, Value)]) -> Value {
    with(acquired("node-a", 4), changes)
}

fn acquisitions(live_elsewhere: &str) -> Vec<Cell> {
    let pod = "/attachment/podUID";
    vec![
        address("acquire a parked address of its node", PARKED, &acquired("node-a", 4)),
        address("acquire an address of another node", OTHER, &acquired("node-a", 4)),
        address("acquire an address without an attachment", NEW, &acquired("node-a", 1)),
        // No policy can look up a pod.
        address(
            "acquire an address for a live pod of another node",
            PARKED,
            &acquired_with(&[(pod, json!(live_elsewhere))]),
        ),
        // The registry was restored from a backup, and the node knows a higher epoch.
        address("acquire it with a higher epoch", PARKED, &acquired("node-a", 1_000_003)),
        address(
            "acquire it without a call",
            PARKED,
            &acquired_with(&[("/pendingMutations", json!([old_mark()]))]),
        ),
        attachment("complete an attach", BEGUN, "state", "Attached"),
        address("restore the record from before an acquisition", BEGUN, &before_acquisition()),
    ]
}

/// What is no acquisition.
fn unlike_acquisitions() -> Vec<Cell> {
    let eni = "/pendingMutations/0/eni";
    let run = "/pendingMutations/0/run";
    let two = json!([{ "mutation": "Assign", "eni": ENI, "run": "agent-1" },
        { "mutation": "Assign", "eni": ENI, "run": "agent-2" }]);
    let not_acquired: [(&str, &str, Value); 9] = [
        ("acquire it for another node", PARKED, acquired("node-b", 4)),
        ("acquire it with the old epoch", PARKED, acquired("node-a", 3)),
        (
            "acquire it and forget a pending call",
            OTHER,
            acquired_with(&[("/pendingMutations", json!([]))]),
        ),
        (
            "acquire it with an Assign of another ENI",
            PARKED,
            acquired_with(&[(eni, json!(OTHER_ENI))]),
        ),
        (
            "acquire it with an Assign of another run",
            PARKED,
            acquired_with(&[(run, json!("agent-2"))]),
        ),
        ("acquire it with two Assigns", PARKED, acquired_with(&[("/pendingMutations", two)])),
        (
            "acquire it with an Unassign",
            PARKED,
            acquired_with(&[("/pendingMutations/0/mutation", json!("Unassign"))]),
        ),
        (
            "acquire it and change its reservation",
            PARKED,
            acquired_with(&[("/reservedOn", json!(OTHER_ENI))]),
        ),
        (
            "acquire it as if its sockets were its own",
            PARKED,
            acquired_with(&[("/attachment/served", json!(true))]),
        ),
    ];
    let last = acquired("node-a", i64::MAX as u64);
    let last =
        address("acquire it with the last epoch", PARKED, &last).refused("a million at most");
    let refused = not_acquired
        .into_iter()
        .map(|(what, which, spec)| address(what, which, &spec).refused("the pod or the node"));
    refused.chain([last]).collect()
}

/// The pending mutation of the sample.
fn old_mark() -> Value {
    json!({ "mutation": "Assign", "eni": ENI, "run": "init-1" })
}

fn before_acquisition() -> Value {
    json!({ "attachment": { "state": "Parked", "podUID": "earlier", "nodeName": "node-b",
        "eni": OTHER_ENI, "run": "init-0" } })
}

fn unassigned() -> Value {
    let mut unassigned = mark("Unassign");
    unassigned["epoch"] = json!(4);
    unassigned["attachment"] = json!({ "state": "Releasing", "eni": null });
    unassigned
}

fn releases() -> Vec<Cell> {
    let path = format!("{GROUP}/staticips/{OWN}");
    let parks = json!({ "spec": { "attachment": { "state": "Parked" } } });
    let released = json!({ "attachment": { "state": "Released", "eni": null },
        "reservedOn": null, "pendingMutations": [] });
    let elsewhere = with(unassigned(), &[("/pendingMutations/0/eni", json!(OTHER_ENI))]);
    let moved = json!({ "attachment": { "state": "Parked" }, "reservedOn": OTHER_ENI });
    let interface = "only name another interface";
    vec![
        attachment("release an address of its node", OWN, "state", "Parked"),
        address("record the unassign of its node's address", OWN, &unassigned()),
        address("record that its node's address is unassigned", OWN, &released),
        address("record the eviction of a parked address of its node", PARKED, &unassigned()),
        attachment("release an address of a lost node", OTHER, "state", "Parked"),
        address("record the unassign of a lost node's address", OTHER, &unassigned()),
        address("record that a lost node's address is unassigned", OTHER, &released),
        address("record the unassign from another interface", OTHER, &elsewhere).refused(interface),
        address("release it as if it were elsewhere", OTHER, &moved).refused(interface),
        patch(Who::AgentWithoutPod, "release", &path, parks).refused("not bound to a pod"),
    ]
}

fn others() -> Vec<Cell> {
    let pod = "the pod or the node";
    let interface = "only name another interface";
    let other_eni = with(mark("Assign"), &[("/pendingMutations/0/eni", json!(OTHER_ENI))]);
    let resumed = json!({ "epoch": 4, "attachment": { "state": "Attached" } });
    vec![
        address("record a re-assert on its node", OWN, &mark("Assign")),
        address("record a re-assert on another interface", OWN, &other_eni).refused(interface),
        attachment("move it to another interface", OWN, "eni", OTHER_ENI).refused(interface),
        address("name another reservation", OWN, &json!({ "reservedOn": OTHER_ENI }))
            .refused(interface),
        attachment("give it to a pod", OWN, "podUID", "u-9").refused(pod),
        attachment("give it to a node", OWN, "nodeName", "node-b").refused(pod),
        attachment("move it to its own node", OTHER, "nodeName", "node-a").refused(pod),
        attachment("give a parked address to a node", PARKED, "nodeName", "node-b").refused(pod),
        address("remove an attachment", OTHER, &json!({ "attachment": null })).refused(pod),
        attachment("acquire a parked address", PARKED, "state", "Attached")
            .refused("without a new epoch"),
        address("attach it with a new epoch at once", PARKED, &resumed)
            .refused("without a new epoch"),
        attachment("begin another attach", OWN, "state", "Attaching")
            .refused("without a new epoch"),
        address("raise the epoch of a parked address", PARKED, &json!({ "epoch": 9 }))
            .refused("a million at most"),
        address("record an Assign of another node's address", OTHER, &mark("Assign"))
            .refused("release it"),
        address("change the epoch of another node's address", OTHER, &json!({ "epoch": 9 }))
            .refused("a million at most"),
    ]
}

fn finalizers() -> Vec<Cell> {
    let set = |what, address: &str, finalizers: Value| {
        let path = format!("{GROUP}/staticips/{address}");
        patch(Who::Agent, what, &path, json!({ "metadata": { "finalizers": finalizers } }))
    };
    let words = "only remove the finalizer";
    vec![
        set("let a released address go", LEAVING, json!([])),
        set("let an address go that is in use", BEGUN, json!([])).refused(words),
        set("keep an address from its deletion", OWN, json!(["example.com/backup"])).refused(words),
        set("replace the finalizer", LEAVING, json!(["example.com/backup"])).refused(words),
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
    let other_eni = json!(OTHER_ENI);
    let mark = json!([{ "mutation": "Assign", "eni": ENI, "run": "agent-1" }]);
    let refused: [(&str, &str, Value); 9] = [
        ("allocate and attach at once", "/spec/claimRef/namespace", json!("prod")),
        ("allocate by another name", "/spec/claimRef/name", json!("redis-0")),
        ("adopt an attached address", "/spec/attachment/state", json!("Attached")),
        ("adopt an attaching address", "/spec/attachment/state", json!("Attaching")),
        ("adopt for a pod", "/spec/attachment/podUID", json!("u-9")),
        ("adopt on another node", "/spec/attachment/nodeName", json!("node-b")),
        ("adopt with another reservation", "/spec/reservedOn", other_eni),
        ("adopt with a pending Assign", "/spec/pendingMutations", mark.clone()),
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
    let but = |what, field, value| {
        make(Who::Agent, what, &[&member[..], &[(field, value)]].concat())
            .refused("only create a StaticIP for")
    };
    let variants = [
        but("allocate what an interface has", "/spec/reservedOn", json!(ENI)),
        but("allocate with a used epoch", "/spec/epoch", json!(1)),
        but("allocate with a pending call", "/spec/pendingMutations", mark),
    ];
    refused.chain([bare, adopted, allocated]).chain(variants).collect()
}

fn statuses() -> Vec<Cell> {
    let status = |who, what, address: &str, status| {
        let path = format!("{GROUP}/staticips/{address}/status");
        patch(who, what, &path, status)
    };
    let (own, phase) = ("of its own node only", json!({ "status": { "phase": "Released" } }));
    let agent = Who::Agent;
    vec![
        status(agent, "report on its node's address", OWN, condition("Ready")),
        status(agent, "report on another node's address", OTHER, condition("Ready")).refused(own),
        status(agent, "report on an unattached address", NEW, condition("Ready")).refused(own),
        status(agent, "report an address without a claim", OTHER, condition("Claimed")),
        status(agent, "report that an address is in use", OTHER, condition("Deletable")),
        status(agent, "report the phase of an address", OTHER, phase),
        status(Who::AgentWithoutPod, "report on an address", OWN, condition("Ready")).refused(own),
    ]
}

fn deletions() -> Vec<Cell> {
    let delete = |who, what, address: &str| {
        let path = format!("{GROUP}/staticips/{address}");
        Cell::new(who, what, (Method::DELETE, &path), Value::Null)
    };
    let (agent, held) = (Who::Agent, "is not Released");
    vec![
        delete(agent, "delete a released address", LEAVING),
        delete(agent, "delete a released address of another node", GONE),
        delete(agent, "delete an address that nobody acquired", NEW),
        delete(agent, "delete an attaching address", BEGUN).refused(held),
        delete(agent, "delete an attached address", OWN).refused(held),
        delete(agent, "delete another node's attached address", OTHER).refused(held),
        delete(agent, "delete a parked address", PARKED).refused(held),
        delete(Who::AgentWithoutPod, "delete a released address", GONE)
            .refused("not bound to a pod"),
    ]
}
