//! The status writes of an agent, and their requests.

use firecamp_apiserver::{ApiServer, Fault};
use firecamp_controllers::publish::{About, Event, StatusWriter, Subject};
use firecamp_core::agent::ResourceList;
use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_kube::KubeStatusWriter;
use firecamp_registry::api::{Condition, NodeAttachments, NodeAttachmentsStatus};
use serde_json::json;

use super::support::{ADDRESS, Cluster, IPS, QUICK, failed};

const NODE: &str = "node-1";
const IP: Subject = Subject::StaticIp(ADDRESS);
const NATTS: &str = "nodeattachments";

fn node() -> NodeName {
    NODE.parse().unwrap()
}

fn status_writer(server: &ApiServer) -> KubeStatusWriter {
    KubeStatusWriter::new(server.client(), QUICK, node())
}

/// A server with a node that a kubelet has registered.
fn server() -> ApiServer {
    let server = ApiServer::default();
    let status = json!({ "capacity": { "cpu": "2", "pods": "110" } });
    server.set("nodes", (None, NODE), json!({ "metadata": { "uid": "u-1" }, "status": status }));
    server
}

/// The resource of a pool that has one of its own.
const OF_ITS_OWN: &str = "firecamp.io/static-ip-b";

fn capacity() -> ResourceList {
    let amounts = [("firecamp.io/static-ip", 9), (OF_ITS_OWN, 4)];
    amounts.into_iter().map(|(name, amount)| (name.parse().unwrap(), amount)).collect()
}

fn condition(status: &str) -> Condition {
    Condition {
        kind: "Ready".to_owned(),
        status: status.to_owned(),
        reason: "Because".to_owned(),
        message: String::new(),
        last_transition_time: Some("2026-11-20T15:00:00Z".to_owned()),
        observed_generation: Some(1),
    }
}

#[tokio::test]
async fn a_node_is_read_with_its_capacity_and_its_published_status() {
    let server = server();
    let status_writer = status_writer(&server);
    let fetched = status_writer.get_node(&node()).await.unwrap();
    assert_eq!(fetched.node.as_deref(), Some("u-1"));
    assert_eq!((fetched.capacity.len(), fetched.attachments), (0, None));
    status_writer.set_capacity(&node(), &capacity()).await.unwrap();
    let object = NodeAttachments::new(NODE, Some("u-1"), NodeAttachmentsStatus::default());
    status_writer.create_attachments(&object).await.unwrap();
    let fetched = status_writer.get_node(&node()).await.unwrap();
    let fetched_capacity: Vec<_> =
        fetched.capacity.iter().map(|(name, amount)| (name.as_str(), amount.as_str())).collect();
    assert_eq!(fetched_capacity, [("firecamp.io/static-ip", "9"), (OF_ITS_OWN, "4")]);
    let attachments = fetched.attachments.unwrap();
    assert_eq!(attachments.metadata.owner_references, object.metadata.owner_references);
    let missing = status_writer.get_node(&"node-2".parse().unwrap()).await.unwrap();
    assert_eq!((missing.node, missing.attachments), (None, None));
}

#[tokio::test]
async fn f021_only_the_capacity_of_the_node_changes() {
    let server = server();
    let before = server.object("nodes", None, NODE).unwrap();
    status_writer(&server).set_capacity(&node(), &capacity()).await.unwrap();
    assert_eq!(server.requests().len(), 1, "both in one request");
    let after = server.object("nodes", None, NODE).unwrap();
    let capacity =
        json!({ "cpu": "2", "pods": "110", "firecamp.io/static-ip": "9", OF_ITS_OWN: "4" });
    assert_eq!(after["status"]["capacity"], capacity);
    assert_eq!(after["spec"], before["spec"]);
}

#[tokio::test]
async fn a_status_is_replaced_completely_and_only_at_the_version_that_was_read() {
    let server = server();
    let status_writer = status_writer(&server);
    let mut object = NodeAttachments::new(NODE, Some("u-1"), NodeAttachmentsStatus::default());
    let version = status_writer.create_attachments(&object).await.unwrap();
    object.metadata.resource_version = Some(version.to_string());
    object.status.instance = Some("i-0000000a".to_owned());
    object.status.conditions = vec![condition("True")];
    let version = status_writer.replace_attachments(&object).await.unwrap();
    object.metadata.resource_version = Some(version.to_string());
    object.status.instance = None;
    status_writer.replace_attachments(&object).await.unwrap();
    let stored = server.object(NATTS, None, NODE).unwrap();
    assert_eq!(stored["status"].get("instance"), None);
    assert_eq!(stored["status"]["conditions"][0]["type"], "Ready");
    let (kind, effect, text) = failed(status_writer.replace_attachments(&object).await);
    assert_eq!((kind, effect), (RegistryKind::Conflict, Effect::None), "{text}");
    object.metadata.resource_version = None;
    let (kind, effect, text) = failed(status_writer.replace_attachments(&object).await);
    assert_eq!((kind, effect), (RegistryKind::Conflict, Effect::None), "{text}");
    assert!(text.contains("NodeAttachments node-1"), "{text}");
}

#[tokio::test]
async fn f072_a_condition_is_written_at_the_version_that_was_read_and_changes_no_spec() {
    let cluster = Cluster::new().await;
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["status"] = json!({ "conditions": [condition("Unknown")] });
    });
    let status_writer = status_writer(&cluster.server);
    let observed = status_writer.observed_status(&IP).await.unwrap().unwrap();
    assert_eq!((observed.epoch, observed.generation, &observed.node), (0, Some(1), &None));
    assert_eq!(observed.conditions, [condition("Unknown")]);
    let spec = cluster.stored()["spec"].clone();
    let conditions = [condition("True")];
    status_writer.replace_conditions(&IP, &observed.version, &conditions).await.unwrap();
    let again = status_writer.replace_conditions(&IP, &observed.version, &conditions).await;
    assert_eq!(failed(again).0, RegistryKind::Conflict);
    assert_eq!(cluster.stored()["spec"], spec);
    assert_eq!(status_writer.observed_status(&IP).await.unwrap().unwrap().conditions, conditions);
    let zero = Version::new("0").unwrap();
    let blind = status_writer.replace_conditions(&IP, &zero, &conditions).await;
    assert_eq!(failed(blind).0, RegistryKind::Conflict);
    let other =
        status_writer.observed_status(&Subject::StaticIp([10, 1, 0, 99].into())).await.unwrap();
    assert_eq!(other, None);
}

#[tokio::test]
async fn f081_a_claim_condition_is_written_at_the_version_that_was_read_and_changes_no_spec() {
    let cluster = Cluster::new().await;
    let (status_writer, claim) =
        (status_writer(&cluster.server), Subject::Claim(cluster.member.clone()));
    let stored = || {
        let (namespace, name) = (cluster.member.namespace(), cluster.member.name());
        cluster.server.object("staticipclaims", Some(namespace), name).unwrap()
    };
    let spec = stored()["spec"].clone();
    let observed = status_writer.observed_status(&claim).await.unwrap().unwrap();
    assert_eq!((observed.epoch, &observed.node, &observed.conditions[..]), (0, &None, &[][..]));
    let conditions = [condition("False")];
    status_writer.replace_conditions(&claim, &observed.version, &conditions).await.unwrap();
    let again = status_writer.replace_conditions(&claim, &observed.version, &[]).await;
    let (kind, _, text) = failed(again);
    assert_eq!(kind, RegistryKind::Conflict);
    assert!(text.contains("StaticIPClaim prod/redis-0"), "{text}");
    assert_eq!(
        status_writer.observed_status(&claim).await.unwrap().unwrap().conditions,
        conditions
    );
    assert_eq!(stored()["spec"], spec);
    let other = Subject::Claim("prod/redis-9".parse().unwrap());
    assert_eq!(status_writer.observed_status(&other).await.unwrap(), None);
}

fn event(about: About) -> Event {
    Event {
        about,
        related: Some(ADDRESS),
        reason: "AddressHeldByForeignInterface",
        action: "Observe",
        warns: true,
        note: "x".repeat(2000),
        at: "2026-11-20T15:00:00Z".to_owned(),
    }
}

fn events(server: &ApiServer) -> Vec<String> {
    let requests = server.requests();
    requests.into_iter().filter(|request| request.contains("events")).collect()
}

#[tokio::test]
async fn an_event_is_written_once_even_if_its_response_was_lost() {
    let cluster = Cluster::new().await;
    let status_writer = status_writer(&cluster.server);
    let uid = "pod-1".to_owned();
    let pod = About::Pod { namespace: "prod".to_owned(), name: "redis-0".to_owned(), uid };
    cluster.server.fail_next("POST", "events", Fault::LostAnswer);
    let (kind, effect, _) = failed(status_writer.post(&event(pod.clone())).await);
    assert_eq!((kind, effect), (RegistryKind::Unavailable, Effect::Unknown));
    status_writer.post(&event(pod)).await.unwrap();
    assert_eq!(events(&cluster.server).len(), 2);
    let all = cluster.server.all("events");
    assert_eq!(all.len(), 1);
    let one = &all[0];
    assert_eq!(one["metadata"]["namespace"], "prod");
    assert_eq!(one["regarding"]["uid"], "pod-1");
    assert_eq!(one["related"]["kind"], "StaticIP");
    assert_eq!(one["eventTime"], "2026-11-20T15:00:00.000000Z");
    assert_eq!(one["reportingController"], "firecamp.io/agent");
    assert_eq!(one["note"].as_str().unwrap().len(), 1024);
}

#[tokio::test]
async fn kubectl_describe_finds_an_event_about_a_cluster_scoped_object() {
    let cluster = Cluster::new().await;
    let status_writer = status_writer(&cluster.server);
    status_writer.post(&event(About::StaticIp(ADDRESS))).await.unwrap();
    status_writer.post(&Event { related: None, ..event(About::Node) }).await.unwrap();
    let all = cluster.server.all("events");
    let uids: Vec<_> = all.iter().map(|event| event["regarding"]["uid"].clone()).collect();
    assert!(all.iter().all(|event| event["metadata"]["namespace"] == "default"));
    assert!(uids.contains(&cluster.stored()["metadata"]["uid"]), "{uids:?}");
    assert!(uids.contains(&json!(NODE)), "{uids:?}");
    assert!(all.iter().all(|event| event.get("related").is_none()));
}
