//! The Lease of `coordination.k8s.io/v1`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::leader::{Ec2Observation, LeaseWrite, ObservedLease, Terms};
use firecamp_core::contract::cluster;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::Version;
use http::Method;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::change::patched;
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
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// What a leader has observed in EC2, in an annotation. A later version may add fields.
#[derive(Deserialize, Serialize, Default)]
#[serde(default)]
struct Observation {
    count: u64,
    nodes: u32,
    throttled: bool,
    misplaced: BTreeSet<Ipv4Addr>,
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
        ec2: observation(metadata.annotations.get(cluster::EC2_OBSERVATION)),
    })
}

/// An observation that cannot be parsed is as good as none: it must not end the election.
fn observation(text: Option<&String>) -> Ec2Observation {
    let parsed = text.and_then(|text| serde_json::from_str(text).ok());
    let Observation { count, nodes, throttled, misplaced } = parsed.unwrap_or_default();
    Ec2Observation { count, nodes, throttled, misplaced }
}

fn annotations(terms: &Terms) -> Value {
    let Ec2Observation { count, nodes, throttled, misplaced } = terms.ec2.clone();
    let text = json!(Observation { count, nodes, throttled, misplaced }).to_string();
    json!({ (cluster::EC2_OBSERVATION): text })
}

pub(super) fn request(namespace: &str, write: &LeaseWrite) -> Result<Call, RegistryFailure> {
    let place = place(namespace);
    match write {
        LeaseWrite::Create(terms) => {
            let object = json!({
                "apiVersion": VERSION,
                "kind": "Lease",
                "metadata": {
                    "name": place.name,
                    "namespace": namespace,
                    "annotations": annotations(terms),
                },
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
        LeaseWrite::Replace(version, terms) => {
            let patch = json!({
                "metadata": {
                    "resourceVersion": version.as_str(),
                    "annotations": annotations(terms),
                },
                "spec": spec(terms),
            });
            patched(&place, "update", "", &patch)
        }
    }
}

fn spec(terms: &Terms) -> Value {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let acquired = terms.acquired.clone().unwrap_or_else(|| now.clone());
    // In a merge patch, null removes the holder; a new Lease always has one.
    json!({
        "holderIdentity": terms.holder,
        "leaseDurationSeconds": terms.duration.as_secs(),
        "leaseTransitions": terms.transitions,
        "acquireTime": acquired,
        "renewTime": now,
    })
}
