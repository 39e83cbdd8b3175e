//! The records of the interfaces that FireCamp makes, and what an agent needs to know to make one.

use std::collections::BTreeMap;

use firecamp_controllers::node::{
    CniSettings, InterfaceRead, OwnNode, PoolPolicy, VpcCniSettings, Wanted,
};
use firecamp_core::contract::cluster::SYSTEM_NAMESPACE;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{InterfaceName, InvalidId, NodeName, Uid, Version};
use firecamp_core::managed_interface::{NodeInterface, StoredInterface};
use firecamp_registry::api::{
    Kind, NodeInterfaceObject, NodeInterfaceSpec, StaticIPPool, StaticIPPoolSpec,
};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http_request::{self, Answer, Call};
use crate::object_paths::{self, Place};
use crate::registry::KubeRegistry;
use crate::watch::{Collection, Watchable};
use crate::{classify, list, write};

/// Objects for each page of a list.
const PAGE: usize = 500;

/// An object of a kind that others define.
#[derive(Debug, PartialEq, Eq)]
enum Optional<T> {
    NoSuchKind,
    Absent,
    Found(T),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identified {
    metadata: Identity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    name: String,
    uid: String,
    resource_version: String,
}

impl Watchable for StoredInterface {
    const COLLECTION: Collection = Collection::ours(NodeInterfaceSpec::PLURAL);

    fn parse(text: &str) -> Result<Self, String> {
        let Identified { metadata } =
            serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
        let record = object_paths::decided::<NodeInterfaceSpec, NodeInterface>(text)?;
        let invalid = |wrong: InvalidId| wrong.to_string();
        Ok(StoredInterface {
            name: InterfaceName::new(&metadata.name).map_err(invalid)?,
            uid: Uid::new(&metadata.uid).map_err(invalid)?,
            version: Version::new(&metadata.resource_version).map_err(invalid)?,
            record,
        })
    }
}

/// The request that replaces a record, by compare-and-swap.
pub(crate) fn update(next: &StoredInterface) -> Result<Call, RegistryFailure> {
    let object = NodeInterfaceObject::of(next.name.as_str(), &next.record);
    write::replaced(&Place::interface(&next.name), &next.version, &object.spec)
}

/// The request that deletes exactly this record.
pub(crate) fn delete(stored: &StoredInterface) -> Result<Call, RegistryFailure> {
    let place = Place::interface(&stored.name);
    write::deleted(&place, (stored.uid.as_str(), &stored.version))
}

impl KubeRegistry {
    /// What decides about the interfaces of a node: its Node, the pools and its records. Quorum
    /// reads, all or nothing.
    pub async fn interface_facts(&self, node: &NodeName) -> Result<InterfaceRead, RegistryFailure> {
        let selector = format!("fieldSelector=spec.nodeName%3D{node}");
        let records =
            self.listed::<NodeInterfaceSpec, _>(vec![selector], StoredInterface::parse).await?;
        let policies = self.listed::<StaticIPPoolSpec, _>(Vec::new(), policy).await?;
        let policies: Vec<PoolPolicy> = policies.into_iter().flatten().collect();
        if policies.is_empty() {
            return Ok(InterfaceRead { records, wanted: None });
        }
        let cni = self.cni_settings(node).await?;
        let node = self.object(&Place::node(node), own_node).await?;
        let namespace = Place::namespace(SYSTEM_NAMESPACE);
        let uid = |text: &str| {
            let read: Identified = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
            Uid::new(&read.metadata.uid).map_err(|wrong| wrong.to_string())
        };
        let cluster_uid = self.object(&namespace, uid).await?;
        Ok(InterfaceRead { records, wanted: Some(Wanted { policies, node, cluster_uid, cni }) })
    }

    /// The settings of the VPC CNI and of Cilium. Neither may be installed.
    async fn cni_settings(&self, node: &NodeName) -> Result<CniSettings, RegistryFailure> {
        let vpc_cni = self.optional(&Place::vpc_cni(), vpc_cni_settings).await?;
        let cilium = Place::cilium_node(node);
        let excludes = self.optional(&cilium, excluded_tags).await?;
        Ok(CniSettings {
            vpc_cni: if let Optional::Found(settings) = vpc_cni { Some(settings) } else { None },
            cilium_pending: excludes == Optional::Absent,
            cilium_excludes: if let Optional::Found(tags) = excludes { tags } else { None },
        })
    }

    /// Creates a record.
    pub async fn create_interface(
        &self,
        name: &InterfaceName,
        record: &NodeInterface,
    ) -> Result<(), RegistryFailure> {
        let object = NodeInterfaceObject::of(name.as_str(), record);
        let (call, _place) = write::create(Place::interface(name), &object)?;
        self.sent(&call).await
    }

    /// Replaces a record by compare-and-swap.
    pub async fn update_interface(&self, next: &StoredInterface) -> Result<(), RegistryFailure> {
        self.sent(&update(next)?).await
    }

    /// Removes all taints with this key from the Node; nothing happens if it has none.
    pub async fn lift_taint(&self, node: &NodeName, key: &str) -> Result<(), RegistryFailure> {
        let place = Place::node(node);
        let node = self.object(&place, own_node).await?;
        let indices: Vec<usize> = node
            .taints
            .iter()
            .enumerate()
            .filter(|(_, taint)| *taint == key)
            .map(|(index, _)| index)
            .collect();
        if indices.is_empty() {
            return Ok(());
        }
        let mut patch = vec![json!({
            "op": "replace", "path": "/metadata/resourceVersion", "value": node.version.as_str(),
        })];
        // The last one first, so that the other indices stay.
        let remove =
            |index: &usize| json!({ "op": "remove", "path": format!("/spec/taints/{index}") });
        patch.extend(indices.iter().rev().map(remove));
        let mut call = Call::write(Method::PATCH, format!("untaint {}", place.label), place.path());
        call.body = Some(("application/json-patch+json", write::bytes(&call, &patch)?));
        self.sent(&write::strict(call)).await
    }

    pub(crate) async fn sent(&self, call: &Call) -> Result<(), RegistryFailure> {
        let (client, timeouts) = self.connection();
        let answer = http_request::send(&client, call, timeouts.call).await?;
        if answer.status.is_success() { Ok(()) } else { Err(classify::refused(call, &answer)) }
    }

    async fn object<T>(
        &self,
        place: &Place,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, RegistryFailure> {
        let call = Call::get(format!("read {}", place.label), place.path());
        let answer = self.answered(&call).await?;
        parsed(&call, &answer, read)
    }

    /// The same for an object that may not exist, and whose kind may not either.
    async fn optional<T>(
        &self,
        place: &Place,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Optional<T>, RegistryFailure> {
        let call = Call::get(format!("read {}", place.label), place.path());
        let answer = self.answered(&call).await?;
        if classify::is_absent(&answer, place.plural, &place.name) {
            return Ok(Optional::Absent);
        }
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Optional::NoSuchKind);
        }
        parsed(&call, &answer, read).map(Optional::Found)
    }

    async fn answered(&self, call: &Call) -> Result<Answer, RegistryFailure> {
        let (client, timeouts) = self.connection();
        http_request::send(&client, call, timeouts.call).await
    }

    async fn listed<S, T>(
        &self,
        query: Vec<String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, RegistryFailure>
    where
        S: Kind + DeserializeOwned,
    {
        let (client, timeouts) = self.connection();
        let what = format!("list the objects of kind {}", S::KIND);
        let mut call = Call::get(what, object_paths::collection::<S>());
        call.query = query;
        let mut found = Vec::new();
        let add = |object: Box<serde_json::value::RawValue>| {
            found.push(read(object.get())?);
            Ok(())
        };
        list::each(&client, timeouts, (&call, PAGE), add).await?;
        Ok(found)
    }
}

fn parsed<T>(
    call: &Call,
    answer: &Answer,
    read: impl FnOnce(&str) -> Result<T, String>,
) -> Result<T, RegistryFailure> {
    if answer.status != StatusCode::OK {
        return Err(classify::refused(call, answer));
    }
    let text = String::from_utf8_lossy(&answer.body);
    read(&text).map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))
}

/// The settings of the VPC CNI in its DaemonSet. It reads the variables by Go's
/// `strconv.ParseBool`. A value that is not written there may be true.
fn vpc_cni_settings(text: &str) -> Result<VpcCniSettings, String> {
    let object: Value = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    let containers = object.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let variables = containers.into_iter().flatten();
    let variables = variables.filter_map(|one| one.get("env")?.as_array()).flatten();
    let variables: Vec<&Value> = variables.collect();
    let off = ["0", "f", "F", "FALSE", "false", "False", ""];
    let is_on = |name: &str| {
        let mut named = variables.iter().filter(|one| one["name"] == name);
        named.any(|one| !one["value"].as_str().is_some_and(|value| off.contains(&value)))
    };
    Ok(VpcCniSettings {
        reads_no_tags: is_on("ENABLE_IMDS_ONLY_MODE"),
        has_trunk: is_on("ENABLE_POD_ENI"),
        skips_primary: is_on("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"),
    })
}

/// The tags of the interfaces that Cilium's operator leaves alone; none if it manages no interfaces
/// of this node.
fn excluded_tags(text: &str) -> Result<Option<BTreeMap<String, String>>, String> {
    let object: Value = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    let Some(eni) = object.pointer("/spec/eni").and_then(Value::as_object) else { return Ok(None) };
    if eni.is_empty() {
        return Ok(None);
    }
    let tags = eni.get("exclude-interface-tags").cloned().unwrap_or_else(|| json!({}));
    serde_json::from_value(tags).map(Some).map_err(|wrong| wrong.to_string())
}

/// The interfaces that a pool wants; none if it wants none.
fn policy(text: &str) -> Result<Option<PoolPolicy>, String> {
    #[derive(Deserialize)]
    struct Pool {
        metadata: Named,
        spec: StaticIPPoolSpec,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let Pool { metadata, spec } = serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    let Some(wanted) = spec.interfaces.clone() else { return Ok(None) };
    let object = StaticIPPool::new(firecamp_registry::api::Metadata::cluster(&metadata.name), spec);
    let pool = firecamp_core::record::Pool::try_from(&object).map_err(|wrong| wrong.to_string())?;
    Ok(Some(PoolPolicy {
        pool: pool.name,
        subnets: pool.subnets.into_iter().map(|one| (one.subnet, one.zone)).collect(),
        node_selector: wanted.node_selector,
        groups: wanted.security_groups.into_iter().collect(),
        maximum: wanted.maximum,
    }))
}

/// The parts of its own Node that an agent needs.
fn own_node(text: &str) -> Result<OwnNode, String> {
    #[derive(Deserialize)]
    struct Node {
        metadata: Meta,
        #[serde(default)]
        spec: Spec,
        #[serde(default)]
        status: Status,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        name: String,
        resource_version: String,
        #[serde(default)]
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
        capacity: BTreeMap<String, String>,
    }
    let Node { metadata, spec, status } =
        serde_json::from_str(text).map_err(|wrong| wrong.to_string())?;
    let invalid = |wrong: InvalidId| wrong.to_string();
    Ok(OwnNode {
        name: NodeName::new(&metadata.name).map_err(invalid)?,
        version: Version::new(&metadata.resource_version).map_err(invalid)?,
        labels: metadata.labels,
        taints: spec.taints.into_iter().map(|taint| taint.key).collect(),
        pods: status.capacity.get("pods").and_then(|count| count.parse().ok()),
    })
}
