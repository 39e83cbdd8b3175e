//! The scheduling gate.

use serde_json::{Value, json};

use super::super::Cell;
use super::super::scene::{GATED, PODS, Who};
use super::patch;

/// The changes of a gated pod. All of these the API server itself allows.
pub(super) fn cells() -> Vec<Cell> {
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
