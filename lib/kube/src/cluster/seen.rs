//! Objects as the API server sends them, as far as the holder of the Lease looks at them.

use std::collections::BTreeMap;

use firecamp_controllers::leader::{
    AddressSeen, ClaimSeen, Identity, NodeLife, NodeSeen, Owner, PodSeen, PoolSeen, SetName,
    StatefulSet, Uid,
};
use firecamp_core::contract::cluster::annotation;
use firecamp_core::ids::Version;
use firecamp_core::outside::PodView;
use firecamp_core::record::{Claim, Pool, StaticIp};
use firecamp_registry::api::{
    Condition, Metadata, Object, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPPoolStatus,
    StaticIPSpec, StaticIPStatus,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::object::Place;
use crate::pod::{self as pods, Reference};

/// Taints that say that a node's machine is shut down: a person's, and the cloud controller's.
const OUT_OF_SERVICE: [&str; 2] =
    ["node.kubernetes.io/out-of-service", "node.cloudprovider.kubernetes.io/shutdown"];

/// Label of a node's availability zone.
const ZONE: &str = "topology.kubernetes.io/zone";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whole<S, T: Default> {
    api_version: String,
    kind: String,
    metadata: Meta,
    spec: S,
    status: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: Option<String>,
    uid: String,
    resource_version: String,
    #[serde(default)]
    generation: u64,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    finalizers: Vec<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    owner_references: Vec<Reference>,
}

/// What of an object is looked at beside its record.
struct Rest<T> {
    id: Identity,
    meta: Meta,
    status: Option<T>,
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|wrong| wrong.to_string())
}

/// An answer to a question about one object is about that one.
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
    Err(format!("the answer is about {:?}", metadata.name))
}

impl Meta {
    fn identity(&self) -> Result<Identity, String> {
        Ok(Identity {
            uid: Uid::new(&self.uid).ok_or("metadata.uid: is empty")?,
            version: Version::new(&self.resource_version).map_err(|wrong| wrong.to_string())?,
            deleting: self.deletion_timestamp.is_some(),
        })
    }

    /// The StatefulSet on record.
    fn owner(&self) -> Option<Owner> {
        let name = self.annotations.get(annotation::SET)?.clone();
        let uid = Uid::new(self.annotations.get(annotation::SET_UID)?)?;
        Some(Owner { name, uid })
    }

    /// The StatefulSet that controls it.
    fn controller(&self) -> Option<Owner> {
        let found = Reference::controller(&self.owner_references)?;
        if !found.is_stateful_set() {
            return None;
        }
        Some(Owner { name: found.name.clone(), uid: Uid::new(&found.uid)? })
    }
}

fn object<S, T>(text: &str) -> Result<(Object<S>, Rest<T>), String>
where
    S: DeserializeOwned,
    T: DeserializeOwned + Default,
{
    let Whole { api_version, kind, metadata: meta, spec, status } = parsed::<Whole<S, T>>(text)?;
    let (name, namespace) = (meta.name.clone(), meta.namespace.clone());
    let metadata = Metadata { name, namespace, ..Metadata::default() };
    let object = Object { api_version, kind, metadata, spec, status: None };
    Ok((object, Rest { id: meta.identity()?, meta, status }))
}

/// A StaticIP.
pub(super) fn address(text: &str) -> Result<AddressSeen, String> {
    let (object, rest) = object::<StaticIPSpec, StaticIPStatus>(text)?;
    let record = StaticIp::try_from(&object).map_err(|wrong| wrong.to_string())?;
    let status = rest.status.unwrap_or_default();
    let Meta { generation, finalizers, .. } = rest.meta;
    Ok(AddressSeen { id: rest.id, record, generation, finalizers, status })
}

/// A StaticIPClaim.
pub(super) fn claim(text: &str) -> Result<ClaimSeen, String> {
    #[derive(Deserialize, Default)]
    struct Said {
        #[serde(default)]
        conditions: Vec<Condition>,
    }
    let (object, rest) = object::<StaticIPClaimSpec, Said>(text)?;
    let claim = Claim::try_from(&object).map_err(|wrong| wrong.to_string())?;
    let (generation, owner) = (rest.meta.generation, rest.meta.owner());
    let conditions = rest.status.unwrap_or_default().conditions;
    Ok(ClaimSeen { id: rest.id, claim, generation, owner, conditions })
}

/// A StaticIPPool.
pub(super) fn pool(text: &str) -> Result<PoolSeen, String> {
    let (object, rest) = object::<StaticIPPoolSpec, StaticIPPoolStatus>(text)?;
    let pool = Pool::try_from(&object).map_err(|wrong| wrong.to_string())?;
    let (reclaim, retention) = (object.spec.reclaim_policy, object.spec.claim_retention_policy);
    let (generation, status) = (rest.meta.generation, rest.status);
    Ok(PoolSeen { id: rest.id, generation, pool, reclaim, retention, status })
}

pub(super) fn set_place(name: &SetName) -> Place {
    let SetName { namespace, name } = name;
    Place {
        plural: "statefulsets",
        namespace: Some(namespace.clone()),
        name: name.clone(),
        label: format!("StatefulSet {namespace}/{name}"),
        collection: format!("/apis/apps/v1/namespaces/{namespace}/statefulsets"),
    }
}

/// A StatefulSet.
pub(super) fn set(text: &str) -> Result<StatefulSet, String> {
    #[derive(Deserialize)]
    struct Set {
        metadata: Meta,
        spec: Spec,
    }
    #[derive(Deserialize)]
    struct Spec {
        replicas: u32,
        #[serde(default)]
        ordinals: Ordinals,
    }
    #[derive(Deserialize, Default)]
    struct Ordinals {
        #[serde(default)]
        start: u32,
    }
    let Set { metadata, spec } = parsed(text)?;
    let uid = metadata.identity()?.uid;
    Ok(StatefulSet { uid, first: spec.ordinals.start, replicas: spec.replicas })
}

/// A Node.
pub(super) fn node(text: &str) -> Result<NodeSeen, String> {
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
    #[serde(default)]
    struct Spec {
        taints: Vec<Taint>,
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
    let zone = metadata.labels.get(ZONE).and_then(|zone| zone.parse().ok());
    let ready = status.conditions.iter().any(|it| it.r#type == "Ready" && it.status == "True");
    let life = if spec.taints.iter().any(|taint| OUT_OF_SERVICE.contains(&taint.key.as_str())) {
        NodeLife::OutOfService
    } else if ready {
        NodeLife::Ready
    } else {
        NodeLife::NotReady
    };
    Ok(NodeSeen { life, zone })
}

/// A pod.
pub(super) fn pod(text: &str) -> Result<PodSeen, String> {
    #[derive(Deserialize)]
    struct Pod {
        metadata: Meta,
    }
    let Pod { metadata } = parsed(text)?;
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let view = pods::view(text.as_bytes(), (namespace, &metadata.name), None)?;
    Ok(PodSeen { view, controller: metadata.controller() })
}

/// There is no pod.
pub(super) fn no_pod() -> PodSeen {
    PodSeen { view: PodView::Absent, controller: None }
}
