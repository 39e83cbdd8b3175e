//! The Lease of `coordination.k8s.io/v1`.

use std::time::Duration;

use firecamp_controllers::leader::{LeaseWrite, ObservedLease, Terms};
use firecamp_core::contract::cluster;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::Version;
use http::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http_request::Call;
use crate::object_paths::Place;
use crate::write;

const VERSION: &str = "coordination.k8s.io/v1";

pub(super) fn place(namespace: &str) -> Place {
    Place {
        plural: "leases",
        namespace: Some(namespace.to_owned()),
        name: cluster::LEASE.to_owned(),
        label: format!("Lease {namespace}/{}", cluster::LEASE),
        collection: format!("/apis/{VERSION}/namespaces/{namespace}/leases"),
    }
}

#[derive(Deserialize)]
struct Lease {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    resource_version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<u64>,
    lease_transitions: Option<u32>,
    acquire_time: Option<String>,
}

pub(super) fn parse(text: &str) -> Result<ObservedLease, String> {
    let Lease { metadata, spec } = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    Ok(ObservedLease {
        version: Version::new(&metadata.resource_version).map_err(|wrong| wrong.to_string())?,
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: Duration::from_secs(spec.lease_duration_seconds.unwrap_or_default()),
        transitions: spec.lease_transitions.unwrap_or_default(),
        acquired: spec.acquire_time,
    })
}

pub(super) fn request(namespace: &str, write: &LeaseWrite) -> Result<Call, RegistryFailure> {
    let place = place(namespace);
    match write {
        LeaseWrite::Create(terms) => {
            let object = json!({
                "apiVersion": VERSION,
                "kind": "Lease",
                "metadata": { "name": place.name, "namespace": namespace },
                "spec": spec(terms),
            });
            let mut call = Call::write(
                Method::POST,
                format!("create {}", place.label),
                place.collection.clone(),
            );
            call.body = Some(("application/json", write::bytes(&call, &object)?));
            Ok(write::strict(call))
        }
        LeaseWrite::Replace(version, terms) => write::replaced(&place, version, &spec(terms)),
    }
}

fn spec(terms: &Terms) -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let acquired = terms.acquired.clone().unwrap_or_else(|| now.clone());
    let mut spec = json!({
        "leaseDurationSeconds": terms.duration.as_secs(),
        "leaseTransitions": terms.transitions,
        "acquireTime": acquired,
        "renewTime": now,
    });
    if let (Some(holder), Value::Object(spec)) = (&terms.holder, &mut spec) {
        spec.insert("holderIdentity".to_owned(), json!(holder));
    }
    spec
}
