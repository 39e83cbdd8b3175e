//! A StatefulSet, its pods and what its members have, for who waits for them. A list is whole and
//! each object of it read, or it fails: a pod that cannot be read is no pod that is gone.

use firecamp_core::failure::RegistryFailure;
use firecamp_core::outside::Controller;
use firecamp_registry::api::{Kind, StaticIPClaimSpec, StaticIPSpec};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Inventory, PAGE, read};
use crate::call::Call;
use crate::pod::Reference;
use crate::{classify, list, object};

/// The controller of a StatefulSet writes the pod's name here, and nobody takes it away with the
/// owner when the set is deleted and its pods are not.
const MADE_BY_SET: &str = "statefulset.kubernetes.io/pod-name";

/// A StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSeen {
    /// So many pods it is to have.
    pub replicas: u32,
    /// The number of its first pod.
    pub first: u32,
    /// Its controller has acted on its last change.
    pub observed: bool,
    /// Its deletion was asked for, so that it gets no more pods.
    pub deleting: bool,
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSeen {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its node, once it has one.
    pub node: Option<String>,
    /// What controls it.
    pub controller: Option<Controller>,
    /// The controller of a StatefulSet has made it, whoever controls it now.
    pub made_by_set: bool,
    /// When it was created.
    pub created: Option<String>,
    /// Where it is in its life.
    pub life: PodLife,
}

/// Where a pod is in its life, as far as its object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodLife {
    /// It is to run.
    Live,
    /// Its containers have ended for good.
    Ended,
    /// Its deletion was asked for.
    Ending {
        /// When it was asked for.
        since: Option<String>,
        /// When its grace period ends.
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
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    node_name: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodStatus {
    phase: String,
}

impl Inventory {
    /// A StatefulSet; none if there is none of this name.
    pub async fn set(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<SetSeen>, RegistryFailure> {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}");
        let call = Call::get(format!("read StatefulSet {namespace}/{name}"), path);
        let answer = self.send(&call).await?;
        if classify::is_absent(&answer, "statefulsets", name) {
            return Ok(None);
        }
        read::<Set>(&call, &answer).map(|set| Some(set.seen()))
    }

    /// All pods of a namespace.
    pub async fn pods(&self, namespace: &str) -> Result<Vec<PodSeen>, RegistryFailure> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let call = Call::get(format!("list the pods of namespace {namespace}"), path);
        let mut pods = Vec::new();
        let add = |pod: Pod| {
            pods.push(pod.seen()?);
            Ok(())
        };
        list::each(&self.client, self.timeouts, (&call, PAGE), add).await?;
        Ok(pods)
    }

    /// All StaticIPs of the members of a namespace, whole.
    pub async fn addresses_in(&self, namespace: &str) -> Result<Vec<Value>, RegistryFailure> {
        let what = format!("list the StaticIPs of namespace {namespace}");
        let mut call = Call::get(what, object::collection::<StaticIPSpec>());
        let field = list::escaped(&format!("spec.claimRef.namespace={namespace}"));
        call.query.push(format!("fieldSelector={field}"));
        list::all(&self.client, self.timeouts, &call, PAGE).await
    }

    /// All StaticIPClaims of a namespace, whole.
    pub async fn claims_in(&self, namespace: &str) -> Result<Vec<Value>, RegistryFailure> {
        let (version, plural) = (firecamp_core::contract::api::VERSION, StaticIPClaimSpec::PLURAL);
        let path = format!("/apis/{version}/namespaces/{namespace}/{plural}");
        let call = Call::get(format!("list the StaticIPClaims of namespace {namespace}"), path);
        list::all(&self.client, self.timeouts, &call, PAGE).await
    }
}

impl Set {
    fn seen(self) -> SetSeen {
        let Self { metadata, spec, status } = self;
        SetSeen {
            replicas: spec.replicas,
            first: spec.ordinals.start,
            observed: status.observed_generation >= metadata.generation,
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}

impl Pod {
    fn seen(self) -> Result<PodSeen, String> {
        let Self { metadata, spec, status } = self;
        let controller = Reference::controller(&metadata.owner_references);
        let controller = controller.map(Reference::seen).transpose()?;
        let named = metadata.labels.get(MADE_BY_SET).and_then(Value::as_str);
        let life = match (metadata.deletion_timestamp, status.phase.as_str()) {
            (Some(until), _) => {
                let since = begun(&until, metadata.deletion_grace_period_seconds);
                PodLife::Ending { since, until }
            }
            (None, "Succeeded" | "Failed") => PodLife::Ended,
            (None, _) => PodLife::Live,
        };
        Ok(PodSeen {
            made_by_set: named == Some(metadata.name.as_str()),
            name: metadata.name,
            uid: metadata.uid,
            node: Some(spec.node_name).filter(|name| !name.is_empty()),
            controller,
            created: metadata.creation_timestamp,
            life,
        })
    }
}

/// `deletionTimestamp` is when the grace period ends, not when it began.
fn begun(until: &str, grace: Option<i64>) -> Option<String> {
    let until: Timestamp = until.parse().ok()?;
    let begun = until.checked_sub(SignedDuration::from_secs(grace?)).ok()?;
    Some(begun.to_string())
}
