//! Nodes, and what drivers and plugins say of them, read leniently: what is not understood is not
//! there.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

/// The EBS CSI driver.
const DRIVER: &str = "ebs.csi.aws.com";
/// A kubelet that was given `--node-ip` writes it here, for whoever else sets addresses.
const GIVEN: &str = "alpha.kubernetes.io/provided-node-ip";

/// A Node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeSeen {
    /// The instance that its provider ID names.
    pub instance: Option<String>,
    /// Its IPv4 addresses of type InternalIP, in their order.
    pub internal: Vec<Ipv4Addr>,
    /// Its kubelet was given `--node-ip`.
    pub fixed: bool,
}

pub(super) fn seen(node: &Value) -> Option<(String, NodeSeen)> {
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
    Some((name, NodeSeen { instance, internal: internal.collect(), fixed }))
}

pub(super) fn offered(csi_node: &Value) -> Option<u32> {
    let is_driver = |one: &&Value| one.get("name").and_then(Value::as_str) == Some(DRIVER);
    let driver = list(csi_node, "/spec/drivers").find(is_driver)?;
    u32::try_from(driver.pointer("/allocatable/count")?.as_u64()?).ok()
}

/// The plain values of the first container; what is taken from elsewhere is left out.
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
