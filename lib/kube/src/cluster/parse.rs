//! Parses objects of the API server; only the fields that the leader uses.

use std::collections::BTreeMap;

use firecamp_controllers::leader::{
    Identity, NamespacedName, NodeReadiness, ObservedClaim, ObservedNode, ObservedPod,
    ObservedPool, ObservedStaticIp, Owner, StatefulSet,
};
use firecamp_core::contract::cluster::{ZONE_LABEL, annotation};
use firecamp_core::ids::{self, Uid, Version};
use firecamp_core::ports::PodView;
use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_registry::api::{
    Condition, Kind as _, Metadata, Object, StaticIPClaimSpec, StaticIPPoolSpec,
    StaticIPPoolStatus, StaticIPSpec, StaticIPStatus,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::object_paths::Place;
use crate::pod::{self as pods, Reference};
use crate::watch::{Collection, Watchable};

/// Taints of a node whose machine is shut down: set by an administrator, and by the cloud
/// controller.
const OUT_OF_SERVICE: [&str; 2] =
    ["node.kubernetes.io/out-of-service", "node.cloudprovider.kubernetes.io/shutdown"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<S, T: Default> {
    api_version: String,
    kind: String,
    metadata: Meta,
    spec: S,
    status: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    name: String,
    namespace: Option<String>,
    uid: String,
    resource_version: String,
    #[serde(default)]
    pub(super) generation: u64,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    finalizers: Vec<String>,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<Reference>,
}

/// The parts of an object beside its record.
struct Extra<T> {
    id: Identity,
    meta: Meta,
    status: Option<T>,
}

pub(super) fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|wrong| wrong.to_string())
}

/// Checks that a response is about the requested object.
pub(super) fn is_named(text: &str, namespace: Option<&str>, name: &str) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Names,
    }
    #[derive(Deserialize)]
    struct Names {
        name: String,
        namespace: Option<String>,
    }
    let Named { metadata } = parsed(text)?;
    if (metadata.namespace.as_deref(), metadata.name.as_str()) == (namespace, name) {
        return Ok(());
    }
    Err(format!("the response is about {:?}", metadata.name))
}

impl Meta {
    pub(super) fn identity(&self) -> Result<Identity, String> {
        Ok(Identity {
            uid: Uid::new(&self.uid).map_err(|wrong| wrong.to_string())?,
            version: Version::new(&self.resource_version).map_err(|wrong| wrong.to_string())?,
            deleting: self.deletion_timestamp.is_some(),
        })
    }

    /// The recorded StatefulSet.
    fn owner(&self) -> Option<Owner> {
        let name = ids::SetName::new(self.annotations.get(annotation::SET)?).ok()?;
        let uid = Uid::new(self.annotations.get(annotation::SET_UID)?).ok()?;
        Some(Owner { name, uid })
    }

    /// The only owner of the object, if it is a Service.
    pub(super) fn service(&self) -> Option<Uid> {
        let [owner] = self.owner_references.as_slice() else { return None };
        (owner.kind == "Service").then(|| Uid::new(&owner.uid).ok()).flatten()
    }

    /// The StatefulSet that controls the object.
    fn controller(&self) -> Option<Owner> {
        let found = Reference::controller(&self.owner_references)?;
        if !found.is_stateful_set() {
            return None;
        }
        let (name, uid) = (ids::SetName::new(&found.name).ok()?, Uid::new(&found.uid).ok()?);
        Some(Owner { name, uid })
    }
}

fn object<S, T>(text: &str) -> Result<(Object<S>, Extra<T>), String>
where
    S: DeserializeOwned,
    T: DeserializeOwned + Default,
{
    let Raw { api_version, kind, metadata: meta, spec, status } = parsed::<Raw<S, T>>(text)?;
    let (name, namespace) = (meta.name.clone(), meta.namespace.clone());
    let metadata = Metadata { name, namespace, ..Metadata::default() };
    let object = Object { api_version, kind, metadata, spec, status: None };
    Ok((object, Extra { id: meta.identity()?, meta, status }))
}

#[derive(Deserialize, Default)]
struct Conditions {
    #[serde(default)]
    conditions: Vec<Condition>,
}

/// The conditions of an object.
pub(super) fn conditions(text: &str) -> Result<Vec<Condition>, String> {
    #[derive(Deserialize)]
    struct Reported {
        #[serde(default)]
        status: Conditions,
    }
    Ok(parsed::<Reported>(text)?.status.conditions)
}

impl Watchable for ObservedStaticIp {
    const COLLECTION: Collection = Collection::ours(StaticIPSpec::PLURAL);

    fn parse(text: &str) -> Result<Self, String> {
        let (object, extra) = object::<StaticIPSpec, StaticIPStatus>(text)?;
        let record = StaticIp::try_from(&object).map_err(|wrong| wrong.to_string())?;
        let StaticIPStatus { phase, conditions } = extra.status.unwrap_or_default();
        let conditions = conditions.as_slice().into();
        let Meta { generation, mut finalizers, .. } = extra.meta;
        if !extra.id.deleting {
            finalizers = Vec::new();
        }
        Ok(ObservedStaticIp { id: extra.id, record, generation, finalizers, phase, conditions })
    }
}

impl Watchable for ObservedClaim {
    const COLLECTION: Collection = Collection::ours(StaticIPClaimSpec::PLURAL);

    fn parse(text: &str) -> Result<Self, String> {
        let (object, extra) = object::<StaticIPClaimSpec, Conditions>(text)?;
        let claim = Claim::try_from(&object).map_err(|wrong| wrong.to_string())?;
        let (generation, owner) = (extra.meta.generation, extra.meta.owner());
        let conditions = extra.status.unwrap_or_default().conditions.as_slice().into();
        Ok(ObservedClaim { id: extra.id, claim, generation, owner, conditions })
    }
}

impl Watchable for ObservedPool {
    const COLLECTION: Collection = Collection::ours(StaticIPPoolSpec::PLURAL);

    fn parse(text: &str) -> Result<Self, String> {
        let (object, extra) = object::<StaticIPPoolSpec, StaticIPPoolStatus>(text)?;
        let pool = Pool::try_from(&object).map_err(|wrong| wrong.to_string())?;
        let (reclaim, retention) = (object.spec.reclaim_policy, object.spec.claim_retention_policy);
        let Meta { generation, creation_timestamp: created, .. } = extra.meta;
        let (id, status) = (extra.id, extra.status);
        Ok(ObservedPool { id, created, generation, pool, reclaim, retention, status })
    }
}

pub(super) fn set_place(name: &NamespacedName) -> Place {
    let NamespacedName { namespace, name } = name;
    Place {
        plural: "statefulsets",
        namespace: Some(namespace.clone()),
        name: name.clone(),
        label: format!("StatefulSet {namespace}/{name}"),
        collection: format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"),
    }
}

impl Watchable for StatefulSet {
    const COLLECTION: Collection = Collection { api_version: "apps/v1", plural: "statefulsets" };

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            metadata: Meta,
            spec: Spec,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec {
            replicas: u32,
            #[serde(default)]
            ordinals: Ordinals,
            service_name: Option<String>,
        }
        #[derive(Deserialize, Default)]
        struct Ordinals {
            #[serde(default)]
            start: u32,
        }
        let Set { metadata, spec } = parsed(text)?;
        let uid = metadata.identity()?.uid;
        let service = spec.service_name.filter(|name| !name.is_empty());
        Ok(StatefulSet { uid, first: spec.ordinals.start, replicas: spec.replicas, service })
    }
}

impl Watchable for ObservedNode {
    const COLLECTION: Collection = Collection { api_version: "v1", plural: "nodes" };

    fn parse(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Node {
            #[serde(default)]
            metadata: Labelled,
            #[serde(default)]
            spec: Spec,
            #[serde(default)]
            status: Status,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Labelled {
            labels: BTreeMap<String, String>,
        }
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Spec {
            taints: Vec<Taint>,
            /// `aws:///us-east-1a/i-0123456789abcdef0`.
            #[serde(rename = "providerID")]
            provider_id: String,
        }
        #[derive(Deserialize)]
        struct Taint {
            key: String,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Status {
            conditions: Vec<Condition>,
        }
        #[derive(Deserialize)]
        struct Condition {
            r#type: String,
            status: String,
        }
        let Node { metadata, spec, status } = parsed(text)?;
        let zone = metadata.labels.get(ZONE_LABEL).and_then(|zone| zone.parse().ok());
        let ready = status.conditions.iter().any(|it| it.r#type == "Ready" && it.status == "True");
        let lifecycle =
            if spec.taints.iter().any(|taint| OUT_OF_SERVICE.contains(&taint.key.as_str())) {
                NodeReadiness::OutOfService
            } else if ready {
                NodeReadiness::Ready
            } else {
                NodeReadiness::NotReady
            };
        let instance =
            spec.provider_id.strip_prefix("aws://").and_then(|rest| rest.rsplit('/').next());
        Ok(ObservedNode { lifecycle, zone, instance: instance.and_then(|id| id.parse().ok()) })
    }
}

/// A pod.
pub(super) fn pod(text: &str) -> Result<ObservedPod, String> {
    #[derive(Deserialize)]
    struct Pod {
        metadata: Meta,
    }
    let Pod { metadata } = parsed(text)?;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let view = pods::fresh(text.as_bytes(), (namespace, &metadata.name), None)?.view;
    Ok(ObservedPod { view, controller: metadata.controller() })
}

/// The observation of a pod that does not exist.
pub(super) fn no_pod() -> ObservedPod {
    ObservedPod { view: PodView::Absent, controller: None }
}
