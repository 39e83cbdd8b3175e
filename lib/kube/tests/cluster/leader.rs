//! The leader's reads and changes.

use firecamp_controllers::leader::{
    Candidate, Change, Cluster as _, ConditionChange, ConditionKind, Ec2Observation, Identity,
    LeaseWrite, NamespacedName, NodeReadiness, ObservedNode, Owner, Terms,
};
use firecamp_core::failure::RegistryKind;
use firecamp_core::ids::Uid;
use firecamp_core::ports::PodView;
use firecamp_core::time::Moment;
use firecamp_kube::KubeCluster;
use firecamp_registry::api::{AddressPhase, Condition, StaticIPPoolStatus};
use serde_json::{Value, json};

use super::support::{ADDRESS, CLAIMS, Cluster, IPS, POOLS, failed};

fn owner() -> Owner {
    Owner { name: "redis".parse().unwrap(), uid: Uid::new("set-1").unwrap() }
}

fn stale(id: &Identity) -> Identity {
    Identity { version: "1".parse().unwrap(), ..id.clone() }
}

fn condition(status: &str) -> Condition {
    Condition {
        kind: "Claimed".to_owned(),
        status: status.to_owned(),
        reason: "ClaimNotFound".to_owned(),
        message: String::new(),
        last_transition_time: None,
        observed_generation: Some(1),
    }
}

#[tokio::test]
async fn a_lease_is_created_renewed_and_released() {
    let leader = KubeCluster::new(&Cluster::new().await.registry);
    assert_eq!(leader.lease().await.unwrap(), None);
    let mut me = Candidate::new("me".to_owned());
    let write = me.decide(None, Moment::default()).unwrap();
    leader.write_lease(&write).await.unwrap();
    let first = leader.lease().await.unwrap().unwrap();
    assert_eq!(first.holder.as_deref(), Some("me"));
    let (kind, _, detail) = failed(leader.write_lease(&write).await);
    assert_eq!(kind, RegistryKind::AlreadyExists, "{detail}");
    let renewal = me.decide(Some(&first), Moment::default()).unwrap();
    leader.write_lease(&renewal).await.unwrap();
    let (kind, _, detail) = failed(leader.write_lease(&renewal).await);
    assert_eq!(kind, RegistryKind::Conflict, "{detail}");
    let second = leader.lease().await.unwrap().unwrap();
    assert_eq!((second.acquired.clone(), second.transitions), (first.acquired, 0));
    leader.write_lease(&me.resign(&second).unwrap()).await.unwrap();
    assert_eq!(leader.lease().await.unwrap().unwrap().holder, None);
}

#[tokio::test]
async fn lease_publishes_what_the_leader_observes_in_ec2() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry).with_lease_in("agents");
    let lease = || cluster.server.object("leases", Some("agents"), "firecamp-agents").unwrap();
    let mut me = Candidate::new("me".to_owned());
    leader.write_lease(&me.decide(None, Moment::default()).unwrap()).await.unwrap();
    assert_eq!(leader.lease().await.unwrap().unwrap().ec2, Ec2Observation::default());
    let ec2 = Ec2Observation {
        count: 7,
        nodes: 3,
        throttled: true,
        misplaced: [ADDRESS, [10, 0, 1, 9].into()].into(),
    };
    let observed = leader.lease().await.unwrap().unwrap();
    let LeaseWrite::Replace(version, terms) =
        me.decide(Some(&observed), Moment::default()).unwrap()
    else {
        panic!("the Lease exists");
    };
    cluster.server.change("leases", Some("agents"), "firecamp-agents", |object| {
        object["metadata"]["annotations"]["team"] = json!("db");
    });
    let conflict = LeaseWrite::Replace(version, Terms { ec2: ec2.clone(), ..terms.clone() });
    assert_eq!(failed(leader.write_lease(&conflict).await).0, RegistryKind::Conflict);
    let version = leader.lease().await.unwrap().unwrap().version;
    let write = LeaseWrite::Replace(version, Terms { ec2: ec2.clone(), ..terms });
    leader.write_lease(&write).await.unwrap();
    assert_eq!(leader.lease().await.unwrap().unwrap().ec2, ec2);
    assert_eq!(lease()["metadata"]["annotations"]["team"], json!("db"), "it is not ours");
    for text in ["", "[]", "{\"count\":-1}", "{\"misplaced\":[\"a\"]}"] {
        cluster.server.change("leases", Some("agents"), "firecamp-agents", |object| {
            object["metadata"]["annotations"]["firecamp.io/ec2-observation"] = json!(text);
        });
        let read = leader.lease().await.unwrap().unwrap();
        assert_eq!((read.holder.as_deref(), read.ec2), (Some("me"), Ec2Observation::default()));
    }
}

/// Like 2026-11-20T15:00:00.123456Z: a real API server accepts no other format of a MicroTime.
fn is_micro_time(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00.000000Z"
}

#[tokio::test]
async fn times_of_leases_and_conditions_have_the_kubernetes_format() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry).with_lease_in("agents");
    let write = Candidate::new("me".to_owned()).decide(None, Moment::default()).unwrap();
    leader.write_lease(&write).await.unwrap();
    let lease = cluster.server.object("leases", Some("agents"), "firecamp-agents").unwrap();
    for time in ["acquireTime", "renewTime"] {
        assert!(is_micro_time(&lease["spec"][time]), "{lease}");
    }
    let items = leader.addresses().list().await.unwrap();
    let change = ConditionChange::Set(condition("False"));
    let id = items[0].object.clone().unwrap().id;
    leader.change(&Change::UpdateStaticIpStatus(ADDRESS, id, None, change)).await.unwrap();
    let stored = cluster.stored();
    let time = stored["status"]["conditions"][0]["lastTransitionTime"].as_str().unwrap();
    assert_eq!((time.len(), time.ends_with('Z')), (20, true), "{time}");
}

#[tokio::test]
async fn recording_an_owner_preserves_the_rest_of_a_claim() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    let (namespace, name) = (cluster.member.namespace(), cluster.member.name());
    cluster.server.change(CLAIMS, Some(namespace), name, |object| {
        object["metadata"]["annotations"] = json!({ "team": "db" });
    });
    let observed = leader.claim(&cluster.member).await.unwrap().unwrap();
    assert_eq!((observed.owner.clone(), &observed.claim), (None, &cluster.claim.object));
    let own = |id, owner| Change::RecordOwner(cluster.member.clone(), id, owner);
    leader.change(&own(observed.id.clone(), Some(owner()))).await.unwrap();
    let (kind, _, detail) = failed(leader.change(&own(observed.id, None)).await);
    assert_eq!(kind, RegistryKind::Conflict, "{detail}");
    let observed = leader.claim(&cluster.member).await.unwrap().unwrap();
    assert_eq!((observed.owner.clone(), &observed.claim), (Some(owner()), &cluster.claim.object));
    leader.change(&own(observed.id, None)).await.unwrap();
    let stored = cluster.server.object(CLAIMS, Some(namespace), name).unwrap();
    assert_eq!(stored["metadata"]["annotations"], json!({ "team": "db" }));
}

#[tokio::test]
async fn f079_only_the_object_that_was_read_is_deleted() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    let id = leader.claim(&cluster.member).await.unwrap().unwrap().id;
    let other = Identity { uid: Uid::new("another").unwrap(), ..id.clone() };
    for wrong in [stale(&id), other] {
        let change = Change::DeleteClaim(cluster.member.clone(), wrong);
        let (kind, _, detail) = failed(leader.change(&change).await);
        assert_eq!(kind, RegistryKind::Conflict, "{detail}");
    }
    let change = Change::DeleteClaim(cluster.member.clone(), id);
    leader.change(&change).await.unwrap();
    assert_eq!(leader.claim(&cluster.member).await.unwrap(), None);
    let (kind, _, detail) = failed(leader.change(&change).await);
    assert_eq!(kind, RegistryKind::NotFound, "{detail}");
    let claim = cluster.claim.object.clone();
    leader.change(&Change::Restore(claim.clone(), Some(owner()))).await.unwrap();
    let again = leader.claim(&cluster.member).await.unwrap().unwrap();
    assert_eq!((again.claim, again.owner), (claim, Some(owner())));
}

#[tokio::test]
async fn a_status_write_changes_nothing_else() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    let items = leader.addresses().list().await.unwrap();
    let observed = items[0].object.clone().unwrap();
    assert_eq!(observed.record, cluster.ip.object);
    let audited = json!({ "type": "Audited", "status": "True", "reason": "ByHand" });
    cluster.server.change(IPS, None, &ADDRESS.to_string(), |object| {
        object["status"]["conditions"] = json!([audited]);
    });
    let items = leader.addresses().list().await.unwrap();
    let observed = items[0].object.clone().unwrap();
    let released = Some(AddressPhase::Released);
    let set = ConditionChange::Set(condition("False"));
    let report = Change::UpdateStaticIpStatus(ADDRESS, observed.id, released, set);
    leader.change(&report).await.unwrap();
    let (kind, _, detail) = failed(leader.change(&report).await);
    assert_eq!(kind, RegistryKind::Conflict, "{detail}");
    let stored = cluster.stored();
    assert_eq!(stored["status"]["phase"], "Released");
    assert_eq!(stored["status"]["conditions"][0]["type"], "Audited", "{stored}");
    assert!(stored["status"]["conditions"][1]["lastTransitionTime"].is_string());
    assert_eq!(stored["metadata"]["generation"], 1, "the spec is unchanged");
    let items = leader.addresses().list().await.unwrap();
    let observed = items[0].object.clone().unwrap();
    let remove = ConditionChange::Remove(ConditionKind::Claimed);
    let report = Change::UpdateStaticIpStatus(ADDRESS, observed.id, None, remove);
    leader.change(&report).await.unwrap();
    let stored = cluster.stored();
    assert_eq!(stored["status"]["phase"], Value::Null);
    assert_eq!(stored["status"]["conditions"].as_array().unwrap().len(), 1, "{stored}");
}

#[tokio::test]
async fn a_pool_is_read_with_its_policies_and_gets_a_status() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    cluster.server.change(POOLS, None, "a", |object| {
        object["spec"]["reclaimPolicy"] = json!("Delete");
        object["spec"]["claimRetentionPolicy"] = json!({ "whenScaled": "Delete" });
    });
    let items = leader.pools().list().await.unwrap();
    let observed = items[0].object.clone().unwrap();
    assert_eq!(
        format!("{:?} {:?}", observed.reclaim, observed.retention.when_scaled),
        "Delete Delete"
    );
    assert_eq!(format!("{:?}", observed.retention.when_deleted), "Retain");
    let status = StaticIPPoolStatus { total: 3, allocated: 1, free: 2, conditions: Vec::new() };
    let change = Change::UpdatePoolStatus(cluster.pool.name.clone(), observed.id, status.clone());
    leader.change(&change).await.unwrap();
    let items = leader.pools().list().await.unwrap();
    assert_eq!(items[0].object.clone().unwrap().status, Some(status));
}

#[tokio::test]
async fn only_the_controller_owner_of_a_pod_counts_as_its_stateful_set() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    assert_eq!(leader.pod(&cluster.member).await.unwrap().view, PodView::Absent);
    let reference = |version: &str, kind: &str, controller: Value| {
        json!([{ "apiVersion": version, "kind": kind, "name": "redis", "uid": "set-1",
            "controller": controller }])
    };
    for (references, wanted) in [
        (reference("apps/v1", "StatefulSet", json!(true)), Some(owner())),
        (reference("apps/v1", "StatefulSet", json!(false)), None),
        (reference("apps/v1", "ReplicaSet", json!(true)), None),
        (reference("batch/v1", "StatefulSet", json!(true)), None),
        (json!([]), None),
    ] {
        let pod = json!({ "metadata": { "uid": "pod-1", "ownerReferences": references } });
        cluster.server.set_pod(cluster.member.namespace(), cluster.member.name(), pod);
        let observed = leader.pod(&cluster.member).await.unwrap();
        assert_eq!(observed.controller, wanted, "{references}");
        assert!(matches!(observed.view, PodView::Present { .. }));
    }
}

#[tokio::test]
async fn a_stateful_set_defines_its_members() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    let name = NamespacedName { namespace: "prod".to_owned(), name: "redis".to_owned() };
    assert_eq!(leader.set(&name).await.unwrap(), None);
    let set = json!({ "metadata": { "uid": "set-1" },
        "spec": { "replicas": 2, "ordinals": { "start": 5 } } });
    cluster.server.set("statefulsets", (Some("prod"), "redis"), set);
    let observed = leader.set(&name).await.unwrap().unwrap();
    let wanted: Vec<u32> = (0..10).filter(|ordinal| observed.wants(*ordinal)).collect();
    assert_eq!((observed.uid.as_str(), wanted), ("set-1", vec![5, 6]));
    assert_eq!(leader.sets().list().await.unwrap()[0].object, Ok(observed));
}

#[tokio::test]
async fn f077_a_node_is_ready_not_ready_or_out_of_service() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    let taint = |key: &str| json!({ "taints": [{ "key": key, "effect": "NoExecute" }] });
    let ready = |status: &str| json!({ "conditions": [{ "type": "Ready", "status": status }] });
    let cases = [
        (json!({}), ready("True"), NodeReadiness::Ready),
        (json!({}), ready("Unknown"), NodeReadiness::NotReady),
        (json!({}), ready("False"), NodeReadiness::NotReady),
        (json!({}), json!({}), NodeReadiness::NotReady),
        (taint("node.kubernetes.io/unreachable"), ready("Unknown"), NodeReadiness::NotReady),
        (taint("node.kubernetes.io/out-of-service"), ready("True"), NodeReadiness::OutOfService),
        (
            taint("node.cloudprovider.kubernetes.io/shutdown"),
            json!({}),
            NodeReadiness::OutOfService,
        ),
    ];
    for (spec, status, wanted) in cases {
        let node = json!({ "metadata": {}, "spec": spec, "status": status });
        cluster.server.set("nodes", (None, "n1"), node);
        let observed = &leader.nodes().list().await.unwrap()[0].object;
        assert_eq!(*observed, Ok(ObservedNode::from(wanted)), "{spec} {status}");
    }
    let labels = json!({ "topology.kubernetes.io/zone": "us-east-1a" });
    let spec = json!({ "providerID": "aws:///us-east-1a/i-0123456789abcdef0" });
    let node = json!({ "metadata": { "labels": labels }, "spec": spec });
    cluster.server.set("nodes", (None, "n1"), node);
    let instance = Some("i-0123456789abcdef0".parse().unwrap());
    let zone = Some("us-east-1a".parse().unwrap());
    let observed = &leader.nodes().list().await.unwrap()[0].object;
    assert_eq!(*observed, Ok(ObservedNode { lifecycle: NodeReadiness::NotReady, zone, instance }));
}

#[tokio::test]
async fn the_error_for_an_unreadable_object_names_it() {
    let cluster = Cluster::new().await;
    let leader = KubeCluster::new(&cluster.registry);
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["news"] = json!("from a later version");
    });
    let items = leader.addresses().list().await.unwrap();
    assert_eq!(items[0].name(), "10.1.0.20");
    assert!(items[0].object.as_ref().unwrap_err().contains("news"));
}
