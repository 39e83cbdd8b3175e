//! The writes of a member's pod.

use http::Method;
use serde_json::{Value, json};

use super::Cell;
use super::scene::{BOUND, FREE, LEFT, OTHER, OWN, Scene, Who};
use crate::samples::{GROUP, claim, static_ip, with};

const CLAIMS: &str = "/apis/firecamp.io/v1alpha1/namespaces/prod/staticipclaims";

fn claim_of(name: &str) -> Value {
    with(claim(), &[("/metadata/name", json!(name)), ("/spec/address", Value::Null)])
}

/// An address without an attachment, for this member.
fn allocation(namespace: &str, name: &str) -> Value {
    let changes = [
        ("/spec/claimRef", json!({ "namespace": namespace, "name": name })),
        ("/spec/epoch", json!(0)),
        ("/spec/attachment", Value::Null),
        ("/spec/reservedOn", Value::Null),
        ("/spec/pendingMutations", Value::Null),
    ];
    with(static_ip(FREE, "node-a", name), &changes)
}

fn take(uid: &str, node: &str) -> Value {
    json!({ "spec": { "epoch": 4, "attachment": {
        "state": "Attaching", "podUID": uid, "nodeName": node, "run": "init-2",
    }}})
}

fn park() -> Value {
    json!({ "spec": { "attachment": { "state": "Parked" } } })
}

pub(super) fn cells(scene: &Scene<'_>) -> Vec<Cell> {
    [claims(), addresses(&scene.uid)].concat()
}

fn claims() -> Vec<Cell> {
    let create = |who, what, name| Cell::new(who, what, (Method::POST, CLAIMS), claim_of(name));
    let bound = |who, what, set: Value| {
        let note = json!({ "metadata": { "annotations": { "firecamp.io/statefulset": set } } });
        Cell::new(who, what, (Method::PATCH, &format!("{CLAIMS}/{BOUND}")), note)
    };
    let annotated = json!({ "firecamp.io/statefulset-uid": "u-1" });
    let annotated = with(claim_of("redis-0"), &[("/metadata/annotations", annotated)]);
    let own = Who::BoundMember;
    let words = "to which StatefulSet";
    let keeps = json!({
        "metadata": { "annotations": { "team": "db" } },
        "spec": { "address": FREE },
    });
    let bind = |who, what| {
        let path = format!("{CLAIMS}/redis-1");
        Cell::new(who, what, (Method::PATCH, &path), json!({ "spec": { "address": FREE } }))
    };
    vec![
        create(Who::Member, "make its claim", "redis-0"),
        create(Who::Member, "make another member's claim", "redis-2")
            .refused("only write its own claim"),
        bind(Who::Member, "bind its neighbour's claim").refused("only write its own claim"),
        create(Who::MemberWithoutPod, "make a claim", "redis-0").refused("not bound to a pod"),
        bind(Who::MemberWithoutPod, "bind a claim").refused("not bound to a pod"),
        create(Who::Operator, "make a claim for others", "redis-9"),
        create(Who::Creator, "make a claim for others", "redis-9").refused("not bound to a pod"),
        create(Who::Person, "make a claim for others", "redis-9"),
        bind(Who::Person, "bind a member's claim"),
        bound(own, "bind its claim to another set", json!("other")).refused(words),
        bound(own, "unbind its claim", Value::Null).refused(words),
        Cell::new(own, "change other fields", (Method::PATCH, &format!("{CLAIMS}/{BOUND}")), keeps),
        Cell::new(Who::Member, "make a bound claim", (Method::POST, CLAIMS), annotated)
            .refused(words),
    ]
}

fn addresses(uid: &str) -> Vec<Cell> {
    let who = Who::Member;
    let allocated = |who, what, namespace, name| {
        let path = format!("{GROUP}/staticips");
        Cell::new(who, what, (Method::POST, &path), allocation(namespace, name))
    };
    let allocate = |what, namespace, name| allocated(who, what, namespace, name);
    let patch = |who, what, address: &str, body| {
        Cell::new(who, what, (Method::PATCH, &format!("{GROUP}/staticips/{address}")), body)
    };
    let back = json!({ "spec": { "attachment": {
        "state": "Parked", "podUID": "earlier", "nodeName": "node-b",
    }}});
    let complete = json!({ "spec": { "attachment": { "served": true }, "pendingMutations": [] } });
    vec![
        allocate("allocate for itself", "prod", "redis-0"),
        allocate("allocate for its neighbour", "prod", "redis-1").refused("belongs to"),
        allocate("allocate for its namesake", "test", "redis-0").refused("belongs to"),
        allocated(Who::Operator, "allocate for others", "prod", "redis-9"),
        allocated(Who::Creator, "allocate for others", "prod", "redis-9")
            .refused("not bound to a pod"),
        patch(Who::Person, "give an address to a pod", OTHER, take("u-2", "node-a")),
        patch(who, "take its address", LEFT, take(uid, "node-a")),
        patch(who, "take it for another pod", LEFT, take("u-2", "node-a")).refused("only pod"),
        patch(who, "take it for another node", LEFT, take(uid, "node-b")).refused("only pod"),
        patch(who, "take its neighbour's", OTHER, take(uid, "node-a")).refused("belongs to"),
        patch(who, "complete its attach", OWN, complete),
        patch(who, "release its address", OWN, park()),
        patch(who, "restore the record from before its acquisition", OWN, back),
        patch(who, "release an address that another pod holds", LEFT, park())
            .refused("only its holder"),
        patch(who, "release its neighbour's", OTHER, park()).refused("belongs to"),
        patch(
            who,
            "clear pending mutations of an address that it lost",
            LEFT,
            json!({ "spec": { "pendingMutations": [] } }),
        ),
        patch(Who::MemberWithoutPod, "take", LEFT, take(uid, "node-a"))
            .refused("not bound to a pod"),
        patch(Who::MemberWithoutPod, "release", OWN, park()).refused("not bound to a pod"),
    ]
}
