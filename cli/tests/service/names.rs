//! The names of members in `firecamp service status`.

use firecamp_cli::service::cluster::kind;
use firecamp_cli::service::list;
use firecamp_core::contract::exit::CheckExit;
use firecamp_core::ids::ClusterName;
use serde_json::{Value, json};

use super::store::Store;

/// Two members and the Service that names them.
fn store(annotations: &Value, conditions: &Value) -> Store {
    let store = Store::default();
    let set = json!({
        "metadata": { "uid": "set", "generation": 1 },
        "spec": {
            "replicas": 2,
            "selector": { "matchLabels": { "app": "redis" } },
            "template": {
                "metadata": { "labels": { "firecamp.io/pool": "main" } },
                "spec": { "containers": [{ "image": "redis:8.2-alpine" }] },
            },
        },
        "status": { "observedGeneration": 1, "readyReplicas": 2, "updateRevision": "redis-1" },
    });
    store.put(kind::STATEFUL_SET, "redis", set);
    for (pod, node, address) in
        [("redis-0", "node-a", "10.0.1.64"), ("redis-1", "node-c", "10.0.1.65")]
    {
        let zone = json!({ "topology.kubernetes.io/zone": "us-east-1a" });
        store.put(kind::NODE, node, json!({ "metadata": { "labels": zone } }));
        store.put(kind::STATIC_IP, address, static_ip(address, pod, node));
        let metadata = json!({
            "uid": pod,
            "labels": { "app": "redis", "controller-revision-hash": "redis-1" },
            "ownerReferences": [{ "uid": "set", "controller": true }],
        });
        let status = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        let object =
            json!({ "metadata": metadata, "spec": { "nodeName": node }, "status": status });
        store.put(kind::POD, pod, object);
    }
    let metadata = json!({
        "labels": { "firecamp.io/statefulset": "redis" },
        "annotations": annotations,
    });
    let service = json!({ "metadata": metadata, "status": { "conditions": conditions } });
    store.put(kind::SERVICE, "redis-static", service);
    // One that names the members of another StatefulSet.
    let other = json!({ "metadata": { "labels": { "firecamp.io/statefulset": "other" } } });
    store.put(kind::SERVICE, "other-static", other);
    store
}

fn static_ip(address: &str, pod: &str, node: &str) -> Value {
    json!({ "spec": {
        "address": address, "pool": "main", "subnet": "subnet-a", "cidr": "10.0.1.0/24",
        "zone": "us-east-1a", "epoch": 1, "claimRef": { "namespace": "prod", "name": pod },
        "attachment": { "state": "Attached", "podUID": pod, "nodeName": node, "run": "r" },
    } })
}

async fn status(store: &Store, cluster: Option<&str>) -> list::Status {
    let cluster = cluster.map(|name| name.parse::<ClusterName>().unwrap());
    list::of(&store.members(kind::STATEFUL_SET, "redis"), cluster.as_ref()).await.unwrap()
}

fn published() -> Value {
    json!([{ "type": "firecamp.io/NamesReady", "status": "True", "reason": "Published",
        "message": "2 members have their names" }])
}

#[tokio::test]
async fn each_member_shows_its_name_in_the_cluster_and_in_the_vpc() {
    let zone = json!({ "firecamp.io/dns-zone": "db.example.com" });
    let status = status(&store(&zone, &published()), None).await;
    let names: Vec<&Vec<String>> = status.members.iter().map(|one| &one.names).collect();
    let expected = [
        ["redis-0.redis-static.prod.svc", "redis-0.db.example.com"],
        ["redis-1.redis-static.prod.svc", "redis-1.db.example.com"],
    ];
    assert_eq!(json!(names), json!(expected));
    let shown = serde_json::to_value(&status).unwrap();
    assert_eq!(shown["members"][1]["names"], json!(expected[1]));
    assert_eq!(shown["namesReady"][0]["reason"], "Published");
    let text = status.people();
    assert!(text.contains("\n  name redis-1.db.example.com\n"), "{text}");
    assert!(!text.contains("Published"), "nothing is wrong: {text}");
}

#[tokio::test]
async fn the_role_of_each_member_is_shown_if_the_service_names_its_primary() {
    let store = store(&Value::Null, &published());
    let roles = async || {
        let status = status(&store, None).await;
        (status.members.iter().map(|one| one.role).collect::<Vec<_>>(), status.people())
    };
    assert_eq!(roles().await.0, [None, None]);
    let by = json!({ "metadata": { "annotations": { "firecamp.io/primary-label": "role=main" } } });
    store.change(kind::STATEFUL_SET, "redis", &by);
    store.change(kind::POD, "redis-1", &json!({ "metadata": { "labels": { "role": "main" } } }));
    let (found, text) = roles().await;
    assert_eq!(found, [Some("other"), Some("primary")]);
    assert!(text.contains("\n  primary redis-1\n"), "{text}");
}

#[tokio::test]
async fn a_name_in_the_default_zone_needs_the_name_of_the_cluster() {
    let store = store(&json!({ "firecamp.io/dns-zone": "default" }), &published());
    let names = async |cluster| status(&store, cluster).await.members.swap_remove(0).names;
    let in_cluster = "redis-0.redis-static.prod.svc".to_owned();
    assert_eq!(names(None).await, std::slice::from_ref(&in_cluster));
    assert_eq!(names(Some("Test")).await, [in_cluster, "redis-0.test-firecamp.com".to_owned()]);
}

#[tokio::test]
async fn names_that_are_not_published_are_reported_with_their_reason() {
    let message = "redis-1.db.example.com does not exist: ExternalDNS has not written the record, \
                   or this zone is not associated with the VPC of the node";
    let condition = json!([{ "type": "firecamp.io/NamesReady", "status": "False",
        "reason": "RecordNotFound", "message": message }]);
    let zone = json!({ "firecamp.io/dns-zone": "db.example.com" });
    let failed = status(&store(&zone, &condition), None).await;
    let text = failed.people();
    let expected = "\
NAMESPACE   SERVICE   KIND          READY   POOL   IMAGE
prod        redis     StatefulSet   2/2     main   redis:8.2-alpine

MEMBER    ADDRESS     NODE     ZONE         TEMPLATE   PROBLEM   MESSAGE
redis-0   10.0.1.64   node-a   us-east-1a   current    -         -
redis-1   10.0.1.65   node-c   us-east-1a   current    -         -
  name redis-0.redis-static.prod.svc
  name redis-0.db.example.com
  name redis-1.redis-static.prod.svc
  name redis-1.db.example.com

Names of Service redis-static: False, RecordNotFound: ";
    assert_eq!(text, format!("{expected}{message}\n"), "as in docs/services.md");
    assert_eq!(failed.end(), CheckExit::Fine, "the members are ready");

    let silent = status(&store(&Value::Null, &json!([])), None).await;
    let text = silent.people();
    assert!(text.contains("Names of Service redis-static: Unknown, NotReported: "), "{text}");
    assert!(text.contains("names.enabled"), "{text}");
}

#[tokio::test]
async fn members_that_no_service_names_have_no_names() {
    let store = store(&Value::Null, &json!([]));
    let labels = json!({ "metadata": { "labels": { "firecamp.io/statefulset": null } } });
    store.change(kind::SERVICE, "redis-static", &labels);
    let shown = serde_json::to_value(status(&store, None).await).unwrap();
    assert_eq!((&shown["members"][0]["names"], &shown["namesReady"]), (&Value::Null, &Value::Null));
}
