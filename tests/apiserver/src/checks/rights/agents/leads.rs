//! The leader acts for the whole cluster.

use firecamp_controllers::leader::{
    Candidate, Change, Cluster as _, ConditionChange, ConditionKind, GatedPod, Identity,
    NamespacedName,
};
use firecamp_core::contract::cluster::{ZONE_GATE, ZONE_LABEL, condition, reason};
use firecamp_core::ids::Member;
use firecamp_core::time::Moment;
use firecamp_kube::{KubeCluster, KubeRegistry};
use firecamp_registry::api::{Condition, StaticIPPoolStatus};
use serde_json::json;

use super::super::wrong;
use super::follows::reports;
use super::{Outcome, ensure};
use crate::cluster::Cluster;
use crate::lifecycle::{FIRST, Site, attached};
use crate::samples::{GROUP, gated_pod};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/firecamp-system/leases";
const SETS: &str = "/apis/apps/v1/namespaces/prod/statefulsets";
const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/namespaces/prod/pods";

pub(super) async fn the_cluster(cluster: &Cluster, registry: &KubeRegistry) -> Outcome {
    let site = Site::new(cluster).await?;
    let holder = KubeCluster::new(registry);
    lease(&site, &holder).await?;
    nodes_and_sets(&site, &holder).await?;
    gates(&site, &holder).await?;
    records(&site, &holder).await
}

/// Acquires and renews the Lease.
async fn lease(site: &Site<'_>, holder: &KubeCluster) -> Outcome {
    let gone = site.cluster.api.delete(&format!("{LEASES}/firecamp-agents")).await?;
    ensure(matches!(gone.code, 200 | 404), || gone.text)?;
    let name = format!("{}_me", super::NODE);
    let mut me = Candidate::new(name.clone());
    let first = me.decide(None, Moment::default()).ok_or("the Lease is not acquired")?;
    holder.write_lease(&first).await.map_err(wrong)?;
    let observed = holder.lease().await.map_err(wrong)?;
    let renewal =
        me.decide(observed.as_ref(), Moment::default()).ok_or("the Lease is not renewed")?;
    holder.write_lease(&renewal).await.map_err(wrong)?;
    let observed = holder.lease().await.map_err(wrong)?.and_then(|lease| lease.holder);
    ensure(observed.as_ref() == Some(&name), || format!("held by {observed:?}"))
}

async fn nodes_and_sets(site: &Site<'_>, holder: &KubeCluster) -> Outcome {
    let api = &site.cluster.api;
    for path in [format!("{NODES}/node-b"), format!("{SETS}/redis")] {
        api.delete(&path).await?;
    }
    let node = async {
        let made = api.post(NODES, &json!({ "metadata": { "name": "node-b" } })).await?;
        ensure(made.code == 201, || made.text)
    };
    reports(&holder.nodes(), node).await?;
    let set = async {
        let labels = json!({ "app": "redis" });
        let containers = json!([{ "name": "c", "image": "none" }]);
        let set = json!({ "metadata": { "name": "redis" }, "spec": {
            "replicas": 1,
            "serviceName": "redis",
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": containers } },
        }});
        let made = api.post(SETS, &set).await?;
        ensure(made.code == 201, || made.text)
    };
    reports(&holder.sets(), set).await?;
    let name = NamespacedName { namespace: "prod".to_owned(), name: "redis".to_owned() };
    let observed = holder.set(&name).await.map_err(wrong)?;
    ensure(observed.is_some(), || "no StatefulSet".to_owned())
}

/// Removes the scheduling gate of a pod, and adds a zone to its node selector.
async fn gates(site: &Site<'_>, holder: &KubeCluster) -> Outcome {
    let (api, path) = (&site.cluster.api, format!("{PODS}/gated-0"));
    api.delete(&format!("{path}?gracePeriodSeconds=0")).await?;
    let pod = async {
        let made = api.post(PODS, &gated_pod("gated-0", &[ZONE_GATE])).await?;
        ensure(made.code == 201, || made.text)
    };
    reports(&holder.unscheduled_pods(), pod).await?;
    let pods = holder.unscheduled_pods().list().await.map_err(wrong)?;
    let pod = pods.into_iter().find(|pod| pod.name() == "gated-0").ok_or("no gated pod")?;
    let GatedPod { id, other_gates, .. } = pod.object?.ok_or("no gate")?;
    let member = Member::new("prod", "gated-0").map_err(|wrong| wrong.to_string())?;
    let zone = "us-east-1a".parse().map_err(|wrong| format!("{wrong}"))?;
    let change = Change::RemoveZoneGate(member, id, other_gates, Some(zone));
    holder.change(&change).await.map_err(wrong)?;
    let pod = api.get(&path).await?.json();
    let spec = &pod["spec"];
    let free =
        spec["schedulingGates"].is_null() && spec["nodeSelector"][ZONE_LABEL] == "us-east-1a";
    ensure(free, || spec.to_string())
}

/// Records the owner of a claim, deletes and recreates it, writes statuses, deletes an address.
async fn records(site: &Site<'_>, holder: &KubeCluster) -> Outcome {
    let pod = site.pod("redis-0", super::NODE).await?;
    let attach = Box::pin(async {
        attached(site.init(&pod, site.cluster.registry().await).await).map(drop)
    });
    reports(&holder.claims(), attach).await?;
    let member = Member::new("prod", "redis-0").map_err(|wrong| wrong.to_string())?;
    holder.pod(&member).await.map_err(wrong)?;
    let observed = holder.claim(&member).await.map_err(wrong)?.ok_or("no claim")?;
    let own = Change::RecordOwner(member.clone(), observed.id, None);
    holder.change(&own).await.map_err(wrong)?;
    let observed = holder.claim(&member).await.map_err(wrong)?.ok_or("no claim")?;
    let set = ConditionChange::Set(bound(observed.generation));
    let report = Change::UpdateClaimStatus(member.clone(), observed.id, set);
    holder.change(&report).await.map_err(wrong)?;
    let observed = holder.claim(&member).await.map_err(wrong)?.ok_or("no claim")?;
    let path = format!("{GROUP}/namespaces/prod/staticipclaims/redis-0");
    let stored = site.cluster.api.get(&path).await?.json();
    let reported = &stored["status"]["conditions"][0];
    let dated = reported["lastTransitionTime"].is_string();
    let of_spec = reported["observedGeneration"] == observed.generation;
    ensure(dated && of_spec && observed.generation > 0, || reported.to_string())?;
    holder.change(&Change::DeleteClaim(member.clone(), observed.id)).await.map_err(wrong)?;
    holder.change(&Change::Restore(observed.claim, None)).await.map_err(wrong)?;
    let (id, remove) =
        (the_address(holder).await?, ConditionChange::Remove(ConditionKind::Claimed));
    let report = Change::UpdateStaticIpStatus(FIRST, id, None, remove);
    holder.change(&report).await.map_err(wrong)?;
    let pools = holder.pools().list().await.map_err(wrong)?;
    let pool = pools.into_iter().next().ok_or("no pool")?.object?;
    let report = Change::UpdatePoolStatus(pool.pool.name, pool.id, StaticIPPoolStatus::default());
    holder.change(&report).await.map_err(wrong)?;
    leaves_ec2(site).await?;
    let id = the_address(holder).await?;
    holder.change(&Change::DeleteStaticIp(FIRST, id)).await.map_err(wrong)?;
    let id = the_address(holder).await?;
    ensure(id.deleting, || format!("{FIRST} is not being deleted"))?;
    holder.change(&Change::RemoveFinalizer(FIRST, id, Vec::new())).await.map_err(wrong)?;
    let gone = site.cluster.api.get(&format!("{GROUP}/staticips/{FIRST}")).await?;
    ensure(gone.code == 404, || gone.text)
}

fn bound(generation: u64) -> Condition {
    Condition {
        kind: condition::BOUND.to_owned(),
        status: "True".to_owned(),
        reason: reason::BOUND.to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: Some(generation),
    }
}

/// The identity of the only address.
async fn the_address(holder: &KubeCluster) -> Result<Identity, String> {
    let addresses = holder.addresses().list().await.map_err(wrong)?;
    let observed = addresses.into_iter().next().ok_or("no address")?;
    Ok(observed.object?.id)
}

/// The end of a release with unassign: only then is the StaticIP deleted.
async fn leaves_ec2(site: &Site<'_>) -> Outcome {
    let change = json!([
        { "op": "replace", "path": "/spec/attachment/state", "value": "Released" },
        { "op": "remove", "path": "/spec/attachment/eni" },
    ]);
    let answer = site.cluster.api.patch(&format!("{GROUP}/staticips/{FIRST}"), &change).await?;
    ensure(answer.code == 200, || answer.text)
}
