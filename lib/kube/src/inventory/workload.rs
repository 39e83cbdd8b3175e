//! A StatefulSet, its pods and its members' objects, for commands that wait. A list is complete
//! and every object parsed, or it fails: an unreadable pod is not a deleted pod.

use firecamp_core::agent::ResourceList;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ports::Controller;
use firecamp_registry::api::{Kind, StaticIPClaimSpec, StaticIPSpec};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Inventory, PAGE, read};
use crate::http_request::Call;
use crate::pod::{PodSpec, Reference};
use crate::{classify, list, object_paths};

/// The label that the StatefulSet controller sets to the pod's name. The pod keeps it when the set
/// is deleted with `--cascade=orphan`, which removes the owner reference.
const MADE_BY_SET: &str = "statefulset.kubernetes.io/pod-name";

/// A StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSet {
    /// The desired number of pods.
    pub replicas: u32,
    /// The ordinal of the first pod.
    pub first: u32,
    /// Whether the controller has observed the current generation.
    pub observed: bool,
    /// Whether the set is being deleted, so that it gets no more pods.
    pub deleting: bool,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPod {
    /// The name of the pod.
    pub name: String,
    /// The UID of the pod.
    pub uid: String,
    /// The node of the pod; none until it is scheduled.
    pub node: Option<String>,
    /// The controller of the pod.
    pub controller: Option<Controller>,
    /// Whether the StatefulSet controller created the pod, whatever controls it now.
    pub made_by_set: bool,
    /// When the pod was created.
    pub created: Option<String>,
    /// The lifecycle state of the pod.
    pub lifecycle: PodState,
    /// What its containers request of the extended resources of pools.
    pub requested: ResourceList,
}

/// The lifecycle state of a pod, according to its object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodState {
    /// The pod is pending or running.
    Live,
    /// All containers have terminated and will not restart.
    Ended,
    /// The pod is being deleted.
    Ending {
        /// When the deletion was requested.
        since: Option<String>,
        /// When the grace period ends.
        until: String,
    },
}

#[derive(Deserialize)]
struct Set {
    metadata: SetMetadata,
    spec: SetSpec,
    #[serde(default)]
    status: SetStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetMetadata {
    #[serde(default)]
    generation: u64,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct SetSpec {
    replicas: u32,
    #[serde(default)]
    ordinals: Ordinals,
}

#[derive(Deserialize, Default)]
struct Ordinals {
    #[serde(default)]
    start: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct SetStatus {
    observed_generation: u64,
}

#[derive(Deserialize)]
struct Pod {
    metadata: PodMetadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodMetadata {
    name: String,
    uid: String,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
    deletion_grace_period_seconds: Option<i64>,
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default)]
    owner_references: Vec<Reference>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodStatus {
    phase: String,
}

impl Inventory {
    /// A StatefulSet; none if it does not exist.
    pub async fn set(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<ObservedSet>, RegistryFailure> {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}");
        let call = Call::get(format!("read StatefulSet {namespace}/{name}"), path);
        let answer = self.send(&call).await?;
        if classify::is_absent(&answer, "statefulsets", name) {
            return Ok(None);
        }
        read::<Set>(&call, &answer).map(|set| Some(set.into_observed()))
    }

    /// All pods of a namespace.
    pub async fn pods(&self, namespace: &str) -> Result<Vec<ObservedPod>, RegistryFailure> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let call = Call::get(format!("list the pods of namespace {namespace}"), path);
        let mut pods = Vec::new();
        let add = |pod: Pod| {
            pods.push(pod.into_observed()?);
            Ok(())
        };
        list::each(&self.client, self.timeouts, (&call, PAGE), add).await?;
        Ok(pods)
    }

    /// All StaticIPs of the members of a namespace, as complete objects.
    pub async fn addresses_in(&self, namespace: &str) -> Result<Vec<Value>, RegistryFailure> {
        let what = format!("list the StaticIPs of namespace {namespace}");
        let mut call = Call::get(what, object_paths::collection::<StaticIPSpec>());
        let field = list::escaped(&format!("spec.claimRef.namespace={namespace}"));
        call.query.push(format!("fieldSelector={field}"));
        list::all(&self.client, self.timeouts, &call, PAGE).await
    }

    /// All StaticIPClaims of a namespace, as complete objects.
    pub async fn claims_in(&self, namespace: &str) -> Result<Vec<Value>, RegistryFailure> {
        let (version, plural) = (firecamp_core::contract::api::VERSION, StaticIPClaimSpec::PLURAL);
        let path = format!("/apis/{version}/namespaces/{namespace}/{plural}");
        let call = Call::get(format!("list the StaticIPClaims of namespace {namespace}"), path);
        list::all(&self.client, self.timeouts, &call, PAGE).await
    }
}

impl Set {
    fn into_observed(self) -> ObservedSet {
        let Self { metadata, spec, status } = self;
        ObservedSet {
            replicas: spec.replicas,
            first: spec.ordinals.start,
            observed: status.observed_generation >= metadata.generation,
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}

impl Pod {
    fn into_observed(self) -> Result<ObservedPod, String> {
        let Self { metadata, spec, status } = self;
        let controller = Reference::controller(&metadata.owner_references);
        let controller = controller.map(Reference::to_controller).transpose()?;
        let named = metadata.labels.get(MADE_BY_SET).and_then(Value::as_str);
        let lifecycle = match (metadata.deletion_timestamp, status.phase.as_str()) {
            (Some(until), _) => {
                let since = begun(&until, metadata.deletion_grace_period_seconds);
                PodState::Ending { since, until }
            }
            (None, "Succeeded" | "Failed") => PodState::Ended,
            (None, _) => PodState::Live,
        };
        Ok(ObservedPod {
            made_by_set: named == Some(metadata.name.as_str()),
            name: metadata.name,
            uid: metadata.uid,
            requested: spec.requested(),
            node: Some(spec.node_name).filter(|name| !name.is_empty()),
            controller,
            created: metadata.creation_timestamp,
            lifecycle,
        })
    }
}

/// `deletionTimestamp` is when the grace period ends, not when it began.
fn begun(until: &str, grace: Option<i64>) -> Option<String> {
    let until: Timestamp = until.parse().ok()?;
    let begun = until.checked_sub(SignedDuration::from_secs(grace?)).ok()?;
    Some(begun.to_string())
}
