//! Bounds of fields beyond their types. The API server estimates the cost of CEL rules from these
//! bounds, so every list and string of a spec has one. They match the parsers in `core::ids`.

use serde_json::{Value, json};

/// Field paths, and the properties to add to their schemas.
pub(crate) type Bounds = Vec<(&'static str, Value)>;

const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";

fn text(pattern: &str, longest: u32) -> Value {
    json!({ "pattern": format!("^{pattern}$"), "minLength": 1, "maxLength": longest })
}

fn address() -> Value {
    text(&format!("{OCTET}(\\.{OCTET}){{3}}"), 15)
}

/// EC2 allows subnets between /16 and /28.
fn cidr() -> Value {
    text(&format!("{OCTET}(\\.{OCTET}){{3}}/(1[6-9]|2[0-8])"), 18)
}

fn ec2_id(prefix: &str) -> Value {
    text(&format!("{prefix}-([0-9a-f]{{8}}|[0-9a-f]{{17}})"), 32)
}

fn token(longest: u32) -> Value {
    text("[-_.A-Za-z0-9]+", longest)
}

fn label() -> Value {
    text(LABEL, 63)
}

fn subdomain() -> Value {
    text(&format!("{LABEL}(\\.{LABEL})*"), 253)
}

/// A list of objects that this key identifies.
fn keyed(key: &str) -> Value {
    json!({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key] })
}

fn list(longest: u32) -> Value {
    json!({ "maxItems": longest, "x-kubernetes-list-type": "atomic" })
}

fn with(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// The bounds of conditions, which are the same in all kinds.
pub(crate) fn conditions() -> Bounds {
    vec![
        ("status.conditions", with(json!({ "maxItems": 64 }), keyed("type"))),
        ("status.conditions[].type", text("[A-Za-z]([A-Za-z0-9]*)", 316)),
        ("status.conditions[].status", json!({ "enum": ["True", "False", "Unknown"] })),
        ("status.conditions[].reason", text("[A-Za-z]([A-Za-z0-9_]*)", 1024)),
        ("status.conditions[].message", json!({ "maxLength": 32768 })),
        ("status.conditions[].lastTransitionTime", json!({ "format": "date-time" })),
        ("status.conditions[].observedGeneration", json!({ "minimum": 0 })),
    ]
}

pub(crate) fn static_ip() -> Bounds {
    vec![
        ("spec.address", address()),
        ("spec.pool", subdomain()),
        ("spec.subnet", ec2_id("subnet")),
        ("spec.cidr", cidr()),
        ("spec.zone", token(64)),
        ("spec.claimRef.namespace", label()),
        ("spec.claimRef.name", subdomain()),
        ("spec.epoch", json!({ "minimum": 0 })),
        ("spec.attachment.podUID", token(128)),
        ("spec.attachment.nodeName", subdomain()),
        ("spec.attachment.eni", ec2_id("eni")),
        ("spec.attachment.run", token(64)),
        ("spec.reservedOn", ec2_id("eni")),
        ("spec.pendingMutations", list(64)),
        ("spec.pendingMutations[].eni", ec2_id("eni")),
        ("spec.pendingMutations[].run", token(64)),
    ]
}

pub(crate) fn static_ip_pool() -> Bounds {
    let retain = json!({ "default": "Retain" });
    let both = json!({ "default": { "whenDeleted": "Retain", "whenScaled": "Retain" } });
    vec![
        ("spec.releasePolicy", json!({ "default": "Keep" })),
        ("spec.reclaimPolicy", retain.clone()),
        ("spec.claimRetentionPolicy", both),
        ("spec.claimRetentionPolicy.whenDeleted", retain.clone()),
        ("spec.claimRetentionPolicy.whenScaled", retain),
        ("spec.interfaces.nodeSelector", json!({ "maxProperties": 16 })),
        ("spec.interfaces.securityGroups", security_groups()),
        ("spec.interfaces.securityGroups[]", ec2_id("sg")),
        ("spec.interfaces.maximum", json!({ "minimum": 1, "maximum": 14, "default": 1 })),
        ("spec.allowedNamespaces.selector.matchLabels", json!({ "maxProperties": 16 })),
        ("spec.allowedNamespaces.selector.matchExpressions", list(16)),
        ("spec.allowedNamespaces.selector.matchExpressions[].key", text("[-_./A-Za-z0-9]+", 316)),
        ("spec.allowedNamespaces.selector.matchExpressions[].values", list(64)),
        ("spec.allowedNamespaces.selector.matchExpressions[].values[]", json!({ "maxLength": 63 })),
        ("spec.resource", text(&format!("firecamp\\.io/{LABEL}"), 75)),
        ("spec.subnets", with(json!({ "minItems": 1, "maxItems": 64 }), keyed("subnet"))),
        ("spec.subnets[].subnet", ec2_id("subnet")),
        ("spec.subnets[].cidr", cidr()),
        ("spec.subnets[].zone", token(64)),
        ("spec.subnets[].ranges", with(json!({ "minItems": 1 }), list(256))),
        ("spec.subnets[].ranges[].start", address()),
        ("spec.subnets[].ranges[].end", address()),
    ]
}

/// EC2 allows 16 security groups for each interface at most.
fn security_groups() -> Value {
    json!({ "maxItems": 16, "x-kubernetes-list-type": "set" })
}

pub(crate) fn node_interface() -> Bounds {
    vec![
        ("spec.nodeName", subdomain()),
        ("spec.instance", ec2_id("i")),
        ("spec.subnet", ec2_id("subnet")),
        ("spec.securityGroups", with(json!({ "minItems": 1 }), security_groups())),
        ("spec.securityGroups[]", ec2_id("sg")),
        ("spec.eni", ec2_id("eni")),
    ]
}

pub(crate) fn static_ip_claim() -> Bounds {
    vec![
        ("spec.pool", subdomain()),
        ("spec.requestedAddress", address()),
        ("spec.address", address()),
    ]
}

pub(crate) fn node_attachments() -> Bounds {
    vec![
        ("status.enis", with(json!({ "maxItems": 64 }), keyed("id"))),
        ("status.addresses", with(json!({ "maxItems": 4096 }), keyed("address"))),
        ("status.volumes", with(json!({ "maxItems": 1024 }), keyed("id"))),
        ("status.volumes[].mounts", list(256)),
        ("status.volumes[].problems", list(32)),
    ]
}
