//! Nodes and the settings of plugins. Parsing is lenient: an unknown value counts as absent.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

/// The annotation that a kubelet with `--node-ip` sets for cloud controllers.
const GIVEN: &str = "alpha.kubernetes.io/provided-node-ip";

/// A Node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObservedNode {
    /// The instance ID from the provider ID.
    pub instance: Option<String>,
    /// The IPv4 addresses of type InternalIP, in order.
    pub internal: Vec<Ipv4Addr>,
    /// Whether the kubelet has the flag `--node-ip`.
    pub fixed: bool,
}

pub(super) fn parse(node: &Value) -> Option<(String, ObservedNode)> {
    let name = node.pointer("/metadata/name")?.as_str()?.to_owned();
    let provider = node.pointer("/spec/providerID").and_then(Value::as_str).unwrap_or_default();
    let instance = provider.strip_prefix("aws://").and_then(|rest| rest.rsplit('/').next());
    let internal = list(node, "/status/addresses").filter_map(|address| {
        let is_internal = address.get("type").and_then(Value::as_str) == Some("InternalIP");
        address.get("address").and_then(Value::as_str).filter(|_| is_internal)?.parse().ok()
    });
    let annotations = node.pointer("/metadata/annotations");
    let fixed = annotations.is_some_and(|annotations| annotations.get(GIVEN).is_some());
    let instance = instance.map(str::to_owned);
    Some((name, ObservedNode { instance, internal: internal.collect(), fixed }))
}

/// The literal environment values of the first container, without those from other sources.
pub(super) fn environment(daemon_set: &Value) -> BTreeMap<String, String> {
    let pair = |one: &Value| {
        let text = |key: &str| one.get(key).and_then(Value::as_str).map(str::to_owned);
        Some((text("name")?, text("value")?))
    };
    list(daemon_set, "/spec/template/spec/containers/0/env").filter_map(pair).collect()
}

fn list<'a>(object: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(at).and_then(Value::as_array).into_iter().flatten()
}
