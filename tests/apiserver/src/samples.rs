//! Valid sample objects.

use serde_json::{Value, json};

pub(crate) const GROUP: &str = "/apis/firecamp.io/v1alpha1";

pub(crate) fn static_ip(address: &str, node: &str, member: &str) -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIP",
        "metadata": { "name": address },
        "spec": {
            "address": address,
            "pool": "a",
            "subnet": "subnet-00000001",
            "cidr": "10.1.0.0/24",
            "zone": "us-east-1a",
            "claimRef": { "namespace": "prod", "name": member },
            "epoch": 3,
            "attachment": {
                "state": "Attached",
                "podUID": "0b0d3ed4-2b8c-4b2a-9a54-3c1f6a1e1e11",
                "nodeName": node,
                "eni": "eni-0123456789abcdef0",
                "run": "init-1",
            },
            "reservedOn": "eni-0123456789abcdef0",
            "pendingMutations": [
                { "mutation": "Assign", "eni": "eni-0123456789abcdef0", "run": "init-1" },
            ],
        },
    })
}

pub(crate) fn pool() -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPPool",
        "metadata": { "name": "a" },
        "spec": { "subnets": [
            {
                "subnet": "subnet-00000001",
                "cidr": "10.1.0.0/24",
                "zone": "us-east-1a",
                "ranges": [
                    { "start": "10.1.0.16", "end": "10.1.0.31" },
                    { "start": "10.1.0.40", "end": "10.1.0.40" },
                ],
            },
            {
                "subnet": "subnet-00000002",
                "cidr": "10.1.1.0/28",
                "zone": "us-east-1b",
                "ranges": [{ "start": "10.1.1.0", "end": "10.1.1.15" }],
            },
        ]},
    })
}

pub(crate) fn claim() -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "StaticIPClaim",
        "metadata": { "name": "redis-0", "namespace": "prod" },
        "spec": { "pool": "a", "address": "10.1.0.20" },
    })
}

pub(crate) fn node_interface(instance: &str) -> Value {
    json!({
        "apiVersion": "firecamp.io/v1alpha1",
        "kind": "NodeInterface",
        "metadata": { "name": format!("{instance}-0") },
        "spec": {
            "nodeName": "n1",
            "instance": instance,
            "subnet": "subnet-00000001",
            "securityGroups": ["sg-0000000a"],
            "phase": "Draining",
            "eni": "eni-0123456789abcdef0",
        },
    })
}

/// The object with other values at these JSON pointers; `null` removes a field.
pub(crate) fn with(mut object: Value, changes: &[(&str, Value)]) -> Value {
    for (path, value) in changes {
        let (parent, field) = path.rsplit_once('/').expect("a path");
        let parent = object.pointer_mut(parent).expect("the parent of a changed field");
        if let Ok(index) = field.parse::<usize>() {
            *parent.get_mut(index).expect("an item") = value.clone();
        } else if let Value::Object(map) = parent {
            if value.is_null() {
                map.remove(field);
            } else {
                map.insert(field.to_owned(), value.clone());
            }
        }
    }
    object
}

/// A pod without a node, with these scheduling gates.
pub(crate) fn gated_pod(name: &str, gates: &[&str]) -> Value {
    let gates: Vec<Value> = gates.iter().map(|gate| json!({ "name": gate })).collect();
    json!({
        "metadata": { "name": name },
        "spec": {
            "schedulingGates": gates,
            "nodeSelector": { "disk": "ssd" },
            "containers": [{ "name": "c", "image": "none" }],
        },
    })
}

/// A RuntimeClass, without which no pod can name it.
pub(crate) fn runtime_class(name: &str) -> Value {
    json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": name },
        "handler": name })
}
