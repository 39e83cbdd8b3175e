//! The agent makes an interface for its node, and the leader removes it.

use firecamp_controllers::leader::{Change, Cluster as _};
use firecamp_core::contract::cluster::STARTUP_TAINT;
use firecamp_core::ids::InterfaceName;
use firecamp_core::managed_interface::{NodeInterface, Phase};
use firecamp_kube::{KubeCluster, KubeRegistry};
use serde_json::json;

use super::super::wrong;
use super::follows::reports;
use super::{NODE, Outcome, ensure};
use crate::lifecycle::Site;
use crate::samples::GROUP;

const NODES: &str = "/api/v1/nodes";
const INSTANCE: &str = "i-0000000a";

pub(super) async fn of_its_node(site: &Site<'_>, registry: &KubeRegistry) -> Outcome {
    prepare(site).await?;
    let holder = KubeCluster::new(registry);
    let parsed = |wrong: firecamp_core::ids::InvalidId| wrong.to_string();
    let node = NODE.parse().map_err(parsed)?;
    let facts = registry.interface_facts(&node).await.map_err(wrong)?;
    ensure(facts.records.is_empty(), || format!("{facts:?}"))?;
    let wanted = facts.wanted.ok_or("no pool wants interfaces")?;
    ensure(wanted.policies.len() == 1, || format!("{wanted:?}"))?;
    let own = wanted.node;
    // The API server adds a taint of its own to a new Node.
    let ours = |taints: &[String]| taints.iter().filter(|key| *key == STARTUP_TAINT).count();
    let others = own.taints.len() - ours(&own.taints);
    ensure(ours(&own.taints) == 2, || format!("{:?}", own.taints))?;
    registry.lift_taint(&own.name, STARTUP_TAINT).await.map_err(wrong)?;
    let record = NodeInterface {
        node: node.clone(),
        instance: INSTANCE.parse().map_err(parsed)?,
        subnet: "subnet-0000000a".parse().map_err(parsed)?,
        groups: ["sg-0000000a".to_owned()].into(),
        phase: Phase::Creating,
        eni: None,
        excluded: false,
    };
    let name = InterfaceName::of(&record.instance, 0);
    let create = async { registry.create_interface(&name, &record).await.map_err(wrong) };
    reports(&holder.interfaces(), create).await?;
    let facts = registry.interface_facts(&node).await.map_err(wrong)?;
    let left = facts.wanted.map(|wanted| wanted.node.taints).unwrap_or_default();
    ensure(ours(&left) == 0 && left.len() == others, || format!("{left:?}"))?;
    let mut made = facts.records.into_iter().next().ok_or("no record")?;
    ensure(made.record == record, || format!("{made:?}"))?;
    made.record.eni = Some("eni-0000000a".parse().map_err(parsed)?);
    registry.update_interface(&made.in_phase(Phase::Attached)).await.map_err(wrong)?;
    let again = registry.update_interface(&made).await;
    ensure(again.is_err(), || "a write on an old version succeeded".to_owned())?;
    removes(registry, &holder, &node).await
}

/// The leader drains and deletes it.
async fn removes(
    registry: &KubeRegistry,
    holder: &KubeCluster,
    node: &firecamp_core::ids::NodeName,
) -> Outcome {
    for phase in [Phase::Draining, Phase::Deleting] {
        let facts = registry.interface_facts(node).await.map_err(wrong)?;
        let stored = facts.records.into_iter().next().ok_or("no record")?;
        let change = Change::UpdateInterface(stored.in_phase(phase));
        holder.change(&change).await.map_err(wrong)?;
    }
    let facts = registry.interface_facts(node).await.map_err(wrong)?;
    let stored = facts.records.into_iter().next().ok_or("no record")?;
    holder.change(&Change::DeleteInterface(stored)).await.map_err(wrong)?;
    let left = registry.interface_facts(node).await.map_err(wrong)?.records;
    ensure(left.is_empty(), || format!("{left:?}"))
}

/// A pool that wants interfaces, a Node with the startup taint, and no record.
async fn prepare(site: &Site<'_>) -> Outcome {
    let api = &site.cluster.api;
    let gone = api.delete(&format!("{GROUP}/nodeinterfaces/{INSTANCE}-0")).await?;
    ensure(matches!(gone.code, 200 | 404), || gone.text)?;
    let pools = site.vpc.registry.snapshot().pools;
    let pool = pools.keys().next().ok_or("no pool")?;
    let wants = json!([{ "op": "add", "path": "/spec/interfaces", "value": { "maximum": 1 } }]);
    let made = api.patch(&format!("{GROUP}/staticippools/{pool}"), &wants).await?;
    ensure(made.code == 200, || made.text)?;
    let gone = api.delete(&format!("{NODES}/{NODE}")).await?;
    ensure(matches!(gone.code, 200 | 404), || gone.text)?;
    let taint = |effect: &str| json!({ "key": STARTUP_TAINT, "effect": effect });
    let taints = json!([taint("NoSchedule"), taint("NoExecute")]);
    let node = json!({ "metadata": { "name": NODE }, "spec": { "taints": taints } });
    let made = api.post(NODES, &node).await?;
    ensure(made.code == 201, || made.text)
}
