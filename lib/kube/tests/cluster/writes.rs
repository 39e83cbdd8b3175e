//! A write replaces the spec of the version that was read, and nothing else.

use firecamp_core::failure::{Effect, RegistryKind};
use firecamp_core::ids::Version;
use firecamp_core::ports::Registry;
use firecamp_core::record::{Stored, Write};
use serde_json::{Value, json};

use super::support::{ADDRESS, Cluster, IPS, failed};

#[tokio::test]
async fn f074_fields_of_other_writers_survive_a_write() {
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

/// A label also creates a new version, so a decision based on the old version must be repeated.
#[tokio::test]
async fn f072_a_change_by_a_user_since_the_read_is_a_conflict() {
    let cluster = Cluster::new().await;
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["metadata"]["labels"] = json!({ "team": "db" });
    });
    let (kind, effect, text) = failed(cluster.registry.write(&cluster.attach()).await);
    assert_eq!((kind, effect), (RegistryKind::Conflict, Effect::None), "{text}");
    assert_eq!(cluster.epoch(), 0);
}

/// The API server accepts such a write and does nothing. The protocol never sends one.
#[tokio::test]
async fn a_write_without_a_change_keeps_the_version() {
    let cluster = Cluster::new().await;
    let same = Write::UpdateStaticIp(cluster.ip.clone());
    assert_eq!(cluster.registry.write(&same).await, Ok(cluster.ip.version.clone()));
    let same = Write::UpdateClaim(cluster.claim.clone());
    assert_eq!(cluster.registry.write(&same).await, Ok(cluster.claim.version.clone()));
}

/// For an API server, zero and an absent version mean any version.
#[tokio::test]
async fn a_version_of_another_registry_is_never_sent() {
    let cluster = Cluster::new().await;
    let before = cluster.server.requests().len();
    for version in ["0", "-1", "1-00ff", "latest"] {
        let version = Version::new(version).unwrap();
        let write = Write::UpdateStaticIp(Stored { version, object: cluster.ip.object.clone() });
        let (kind, effect, text) = failed(cluster.registry.write(&write).await);
        assert_eq!((kind, effect), (RegistryKind::Conflict, Effect::None), "{text}");
    }
    assert_eq!(cluster.server.requests().len(), before);
}

/// An unknown field may change the decisions of a newer version, and FireCamp's next write would
/// drop it.
#[tokio::test]
async fn an_unknown_field_of_a_spec_is_an_error_and_never_dropped() {
    let cluster = Cluster::new().await;
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["frozen"] = Value::Bool(true);
    });
    let (kind, _, text) = failed(cluster.registry.static_ip(ADDRESS).await);
    assert_eq!(kind, RegistryKind::Invalid, "{text}");
    assert!(text.contains("frozen") && text.contains("StaticIP 10.1.0.20"), "{text}");
}

#[tokio::test]
async fn the_error_for_an_invalid_stored_object_names_its_field() {
    let cluster = Cluster::new().await;
    cluster.server.change(IPS, None, "10.1.0.20", |object| {
        object["spec"]["cidr"] = json!("10.2.0.0/24");
    });
    let (kind, effect, text) = failed(cluster.registry.static_ip(ADDRESS).await);
    assert_eq!((kind, effect), (RegistryKind::Invalid, Effect::None), "{text}");
    assert!(text.contains("spec.address"), "{text}");
}
