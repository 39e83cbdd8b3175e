//! [`StatusWriter`] for the Kubernetes API: an agent's reports. Each write uses the subresource of
//! its fields and changes nothing else.

mod event;

use firecamp_controllers::publish::{Event, FetchedNode, ObservedStatus, StatusWriter, Subject};
use firecamp_core::agent::ResourceList;
use firecamp_core::contract::api;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, ResourceName, Version};
use firecamp_registry::api::{Condition, NodeAttachments};
use http::{Method, StatusCode};
use kube::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::classify;
use crate::http_request::{self, Answer, Call, Timeouts};
use crate::object_paths::Place;
use crate::write::{bytes, is_resource_version, strict};

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The status writer of a node's agent.
#[derive(Clone)]
pub struct KubeStatusWriter {
    client: Client,
    timeouts: Timeouts,
    node: NodeName,
    reporter: &'static str,
}

impl std::fmt::Debug for KubeStatusWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeStatusWriter").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The fields that all objects have.
#[derive(Deserialize)]
struct Any {
    metadata: AnyMetadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyMetadata {
    uid: String,
    resource_version: String,
    generation: Option<u64>,
}

impl KubeStatusWriter {
    /// Uses a client that must not retry requests. `node` is the reporting node.
    pub fn new(client: Client, timeouts: Timeouts, node: NodeName) -> Self {
        Self { client, timeouts, node, reporter: api::AGENT }
    }

    /// The same for a program other than the agent.
    #[must_use]
    pub fn reporting_as(self, reporter: &'static str) -> Self {
        Self { reporter, ..self }
    }

    async fn send(&self, call: &Call) -> Result<Answer, RegistryFailure> {
        http_request::send(&self.client, call, self.timeouts.call).await
    }

    /// One object, or none if the API server reports that it does not exist.
    async fn get<T>(&self, place: &Place) -> Result<Option<T>, RegistryFailure>
    where
        T: serde::de::DeserializeOwned,
    {
        let call = Call::get(format!("read {}", place.label), place.path());
        let answer = self.send(&call).await?;
        if classify::is_absent(&answer, place.plural, &place.name) {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(classify::refused(&call, &answer));
        }
        serde_json::from_slice(&answer.body).map(Some).map_err(|wrong| invalid(&call, &wrong))
    }

    /// Sends a write and returns its successful response.
    async fn write(
        &self,
        mut call: Call,
        kind: &'static str,
        body: &Value,
    ) -> Result<(Call, Answer), RegistryFailure> {
        call.body = Some((kind, bytes(&call, body)?));
        let call = strict(call);
        let answer = self.send(&call).await?;
        if answer.status.is_success() {
            Ok((call, answer))
        } else {
            Err(classify::refused(&call, &answer))
        }
    }
}

fn invalid(call: &Call, wrong: &serde_json::Error) -> RegistryFailure {
    call.failed(RegistryKind::Invalid, call.in_doubt(), wrong)
}

/// The version that a write created.
fn written((call, answer): (Call, Answer)) -> Result<Version, RegistryFailure> {
    let any: Any = serde_json::from_slice(&answer.body).map_err(|wrong| invalid(&call, &wrong))?;
    version(&call, &any)
}

fn version(call: &Call, any: &Any) -> Result<Version, RegistryFailure> {
    Version::new(&any.metadata.resource_version)
        .map_err(|wrong| call.failed(RegistryKind::Invalid, call.in_doubt(), wrong))
}

/// Checks the version: without a valid one the API server would update any version.
fn named(call: &Call, version: &Version) -> Result<(), RegistryFailure> {
    if is_resource_version(version) {
        return Ok(());
    }
    let problem = format!("version {version} is from another registry");
    Err(call.failed(RegistryKind::Conflict, Effect::None, problem))
}

impl StatusWriter for KubeStatusWriter {
    async fn get_node(&self, node: &NodeName) -> Result<FetchedNode, RegistryFailure> {
        let places = (Place::node(node), Place::attachments(node));
        let (node, attachments) =
            tokio::try_join!(self.get::<Any>(&places.0), self.get(&places.1))?;
        let capacity = node.as_ref().and_then(|node| node.status.get("capacity")?.as_object());
        let of_pool = |(name, amount): (&String, &Value)| {
            Some((ResourceName::new(name).ok()?, amount.as_str()?.to_owned()))
        };
        let capacity = capacity.into_iter().flatten().filter_map(of_pool).collect();
        Ok(FetchedNode { node: node.map(|node| node.metadata.uid), capacity, attachments })
    }

    async fn create_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        let place = Place::attachments(&self.node);
        let what = format!("create {}", place.label);
        let call = Call::write(Method::POST, what, place.collection.clone());
        let body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": object.metadata,
            "spec": object.spec,
        });
        written(self.write(call, "application/json", &body).await?)
    }

    async fn replace_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        let place = Place::attachments(&self.node);
        let what = format!("update the status of {}", place.label);
        let call = Call::write(Method::PATCH, what, place.status_path());
        let text = object.metadata.resource_version.as_deref().unwrap_or_default();
        let wrong = |wrong| call.failed(RegistryKind::Conflict, Effect::None, wrong);
        named(&call, &Version::new(text).map_err(wrong)?)?;
        // Replaces the complete status, so that no old field remains.
        let body = json!([
            { "op": "replace", "path": "/metadata/resourceVersion", "value": text },
            { "op": "add", "path": "/status", "value": object.status },
        ]);
        written(self.write(call, JSON_PATCH, &body).await?)
    }

    async fn observed_status(
        &self,
        subject: &Subject,
    ) -> Result<Option<ObservedStatus>, RegistryFailure> {
        let place = Place::subject(subject);
        let Some(any) = self.get::<Any>(&place).await? else { return Ok(None) };
        let call = Call::get(format!("read {}", place.label), place.path());
        let conditions = any.status.get("conditions").cloned().unwrap_or_else(|| json!([]));
        let conditions = serde_json::from_value(conditions).map_err(|e| invalid(&call, &e))?;
        let node = any.spec.pointer("/attachment/nodeName").and_then(Value::as_str);
        Ok(Some(ObservedStatus {
            version: version(&call, &any)?,
            generation: any.metadata.generation,
            epoch: any.spec.get("epoch").and_then(Value::as_u64).unwrap_or_default(),
            node: node.map(str::to_owned),
            conditions,
        }))
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        let place = Place::subject(subject);
        let what = format!("update the status of {}", place.label);
        let call = Call::write(Method::PATCH, what, place.status_path());
        named(&call, version)?;
        // Keeps the other fields of the status.
        let body = json!({
            "metadata": { "resourceVersion": version.as_str() },
            "status": { "conditions": conditions },
        });
        self.write(call, MERGE_PATCH, &body).await.map(drop)
    }

    /// Without a version: the kubelet updates its node's status all the time, and no other
    /// component writes these numbers.
    async fn set_capacity(
        &self,
        node: &NodeName,
        capacity: &ResourceList,
    ) -> Result<(), RegistryFailure> {
        let place = Place::node(node);
        let what = format!("set the capacity of {}", place.label);
        let call = Call::write(Method::PATCH, what, place.status_path());
        let add = |(name, amount): (&ResourceName, &u32)| {
            let path = format!("/status/capacity/{}", name.as_str().replace('/', "~1"));
            json!({ "op": "add", "path": path, "value": amount.to_string() })
        };
        let body = Value::Array(capacity.iter().map(add).collect());
        self.write(call, JSON_PATCH, &body).await.map(drop)
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        let uid = match event::needs_uid_of(event) {
            Some(address) => self.get::<Any>(&Place::static_ip(address)).await?,
            None => None,
        };
        let uid = uid.map(|any| any.metadata.uid);
        let (namespace, body) = event::body(event, (&self.node, self.reporter), uid.as_deref());
        let path = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let call = Call::write(Method::POST, format!("write Event {}", event.reason), path);
        match self.write(call, "application/json", &body).await {
            // An earlier attempt, whose response was lost, created it.
            Err(failure) if failure.kind == RegistryKind::AlreadyExists => Ok(()),
            result => result.map(drop),
        }
    }
}
