//! Our writes replace the spec of the version that was read, and nothing else.

use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::Version;
use firecamp_core::outside::Registry;
use firecamp_core::record::{Stored, Write};
use serde_json::{Value, json};

use super::support::{ADDRESS, Cluster, IPS, failed};

#[tokio::test]
async fn f074_what_others_write_on_an_object_survives_our_writes() {
    let cluster = Cluster::new().await;
    let changed = cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["metadata"]["labels"] = json!({ "team": "db" });
        object["metadata"]["finalizers"] = json!(["firecamp.io/address"]);
        object["metadata"]["ownerReferences"] = json!([{ "name": "somebody" }]);
        object["status"] = json!({ "conditions": [] });
    });
    assert!(changed);
    let read = cluster.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    let object = firecamp_registry::conformance::attached(&read.object, 1).unwrap();
    let write = Write::UpdateStaticIp(Stored { version: read.version, object: object.clone() });
    cluster.registry.write(&write).await.unwrap();
    let stored = cluster.stored();
    assert_eq!(stored["metadata"]["labels"]["team"], "db");
    assert_eq!(stored["metadata"]["finalizers"], json!(["firecamp.io/address"]));
    assert_eq!(stored["metadata"]["ownerReferences"][0]["name"], "somebody");
    assert_eq!(stored["status"], json!({ "conditions": [] }));
    assert_eq!(stored["metadata"]["generation"], 2);
    let read = cluster.registry.static_ip(ADDRESS).await.unwrap().unwrap();
    assert_eq!(read.object, object);
}

/// Also a label makes a new version, so who decided before it decides again.
#[tokio::test]
async fn f072_a_change_that_a_person_made_since_the_read_is_a_conflict() {
    let cluster = Cluster::new().await;
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["metadata"]["labels"] = json!({ "team": "db" });
    });
    let (kind, effect, text) = failed(cluster.registry.write(&cluster.take()).await);
    assert_eq!((kind, effect), (RegistryKind::Conflict, Effect::None), "{text}");
    assert_eq!(cluster.epoch(), 0);
}

/// The API server takes such a write and does nothing. No write of the protocol is one.
#[tokio::test]
async fn a_write_that_changes_nothing_keeps_its_version() {
    let cluster = Cluster::new().await;
    let same = Write::UpdateStaticIp(cluster.ip.clone());
    assert_eq!(cluster.registry.write(&same).await, Ok(cluster.ip.version.clone()));
    let same = Write::UpdateClaim(cluster.claim.clone());
    assert_eq!(cluster.registry.write(&same).await, Ok(cluster.claim.version.clone()));
}

/// Zero and nothing mean "whatever is there" to an API server.
#[tokio::test]
async fn a_version_that_no_server_made_is_never_sent() {
    let cluster = Cluster::new().await;
    let before = cluster.server.asked().len();
    for version in ["0", "-1", "1-00ff", "latest"] {
        let version = Version::new(version).unwrap();
        let write = Write::UpdateStaticIp(Stored { version, object: cluster.ip.object.clone() });
        let (kind, effect, text) = failed(cluster.registry.write(&write).await);
        assert_eq!((kind, effect), (RegistryKind::Conflict, Effect::None), "{text}");
    }
    assert_eq!(cluster.server.asked().len(), before);
}

/// A field that we do not know may be why a newer version decides otherwise, and our next write
/// would lose it.
#[tokio::test]
async fn an_unknown_field_of_a_spec_is_reported_and_never_lost() {
    let cluster = Cluster::new().await;
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["frozen"] = Value::Bool(true);
    });
    let (kind, _, text) = failed(cluster.registry.static_ip(ADDRESS).await);
    assert_eq!(kind, RegistryKind::Invalid, "{text}");
    assert!(text.contains("frozen") && text.contains("StaticIP 10.1.0.20"), "{text}");
}

#[tokio::test]
async fn a_stored_object_that_breaks_a_rule_is_named_with_its_field() {
    let cluster = Cluster::new().await;
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["cidr"] = json!("10.2.0.0/24");
    });
    let (kind, effect, text) = failed(cluster.registry.static_ip(ADDRESS).await);
    assert_eq!((kind, effect), (RegistryKind::Invalid, Effect::None), "{text}");
    assert!(text.contains("spec.address"), "{text}");
}
