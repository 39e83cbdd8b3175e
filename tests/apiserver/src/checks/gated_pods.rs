//! What the server lets be changed of a pod with a scheduling gate. `lib/apiserver` has the same
//! rules.

use http::Method;
use serde_json::{Value, json};

use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::samples::gated_pod;

const PODS: &str = "/api/v1/namespaces/prod/pods";

/// The gates of a pod, the change of its spec, and whether the server makes it.
fn cases() -> Vec<(&'static [&'static str], Value, bool)> {
    let gates =
        |names: &[&str]| -> Value { names.iter().map(|name| json!({ "name": name })).collect() };
    let zone = json!({ "topology.kubernetes.io/zone": "us-east-1a" });
    let both: &[&str] = &["example.com/a", "example.com/b"];
    vec![
        (both, json!({ "schedulingGates": gates(&["example.com/b"]) }), true),
        (both, json!({ "schedulingGates": [] }), true),
        (&["example.com/a"], json!({ "schedulingGates": gates(both) }), false),
        (&[], json!({ "schedulingGates": gates(&["example.com/a"]) }), false),
        (&["example.com/a"], json!({ "nodeSelector": zone }), true),
        (&["example.com/a"], json!({ "schedulingGates": [], "nodeSelector": zone }), true),
        (&["example.com/a"], json!({ "nodeSelector": { "disk": null } }), false),
        (&["example.com/a"], json!({ "nodeSelector": { "disk": "hdd" } }), false),
        (&[], json!({ "nodeSelector": zone }), false),
        (&["example.com/a"], json!({ "nodeName": "node-1" }), false),
    ]
}

pub(super) async fn only_a_gate_is_removed_and_a_node_selector_extended(
    cluster: &Cluster,
) -> Outcome {
    for (gates, spec, allowed) in cases() {
        let path = format!("{PODS}/gated-1");
        cluster.api.delete(&format!("{path}?gracePeriodSeconds=0")).await?;
        let made = cluster.api.post(PODS, &gated_pod("gated-1", gates)).await?;
        ensure(made.code == 201, || made.text)?;
        let change = json!({ "spec": spec });
        let answer = cluster.api.ask(Method::PATCH, &path, Some(&change)).await?;
        let wanted = if allowed { 200 } else { 422 };
        ensure(answer.code == wanted, || format!("{gates:?} {change}: {}", answer.text))?;
    }
    let gone = cluster.api.delete(&format!("{PODS}/gated-1?gracePeriodSeconds=0")).await?;
    ensure(gone.code == 200, || gone.text)
}
