//! Complete objects of a cluster for diagnosis, as the API server returns them. The protocol reads
//! records instead.

mod maps;
mod node;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::contract::api;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::Member;
use firecamp_registry::api::Kind;
use http::{Method, StatusCode};
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http_request::{self, Answer, Call, Timeouts};
use crate::object_paths::Place;
use crate::volumes::parse;
use crate::{classify, list, object_paths};

pub use node::ObservedNode;
pub use workload::{ObservedPod, ObservedSet, PodState};

/// Objects for each page: those of a busy node have tens of kilobytes each.
const PAGE: usize = 50;

/// The response of an API server for a group that it does not serve.
const NOT_SERVED: &[u8] = b"404 page not found";

/// Reads of a cluster for diagnosis.
#[derive(Clone)]
pub struct Inventory {
    client: Client,
    timeouts: Timeouts,
}

impl std::fmt::Debug for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inventory").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

/// A resource that the API server serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Served {
    /// The plural name, with a suffix such as `/status` for a subresource.
    pub name: String,
    /// The kind of its objects.
    pub kind: String,
    /// Whether the objects are namespaced.
    pub namespaced: bool,
}

/// A permission that an identity may or may not have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// `get`, `list`, `patch` and so on.
    pub verb: &'static str,
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The plural name of the resource.
    pub resource: &'static str,
    /// The subresource: `status`, or empty.
    pub subresource: &'static str,
    /// The name of the object; empty for all.
    pub name: &'static str,
    /// The namespace; none for all namespaces and for cluster-scoped objects.
    pub namespace: Option<String>,
}

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<Served>,
}

impl Inventory {
    /// Uses a client that must not retry requests.
    pub fn new(client: Client, timeouts: Timeouts) -> Self {
        Self { client, timeouts }
    }

    /// All objects of a FireCamp kind, in all namespaces.
    pub async fn ours<S: Kind>(&self) -> Result<Vec<Value>, RegistryFailure> {
        self.all(S::KIND, object_paths::collection::<S>()).await
    }

    /// All nodes of the cluster, by name.
    pub async fn nodes(&self) -> Result<BTreeMap<String, ObservedNode>, RegistryFailure> {
        let call = Call::get("list the nodes", "/api/v1/nodes".to_owned());
        let nodes: Vec<Value> = list::all(&self.client, self.timeouts, &call, PAGE).await?;
        Ok(nodes.iter().filter_map(node::parse).collect())
    }

    /// One node of the cluster; none if it does not exist.
    pub async fn node(&self, name: &str) -> Result<Option<ObservedNode>, RegistryFailure> {
        let call = Call::get(format!("read Node {name}"), format!("/api/v1/nodes/{name}"));
        let object = self.object(&call, "nodes", name).await?;
        Ok(object.as_ref().and_then(node::parse).map(|(_name, node)| node))
    }

    /// The number of volumes that the EBS CSI driver reports as allocatable on a node; none if the
    /// driver is not registered there or reports no number.
    pub async fn offered_volumes(&self, node: &str) -> Result<Option<u32>, RegistryFailure> {
        let path = format!("/apis/storage.k8s.io/v1/csinodes/{node}");
        let call = Call::get(format!("read CSINode {node}"), path);
        let object = self.object(&call, "csinodes", node).await?;
        Ok(object.as_ref().and_then(parse::offered))
    }

    /// The environment of the container in the VPC CNI's DaemonSet; none if there is no such
    /// DaemonSet.
    pub async fn vpc_cni(&self) -> Result<Option<BTreeMap<String, String>>, RegistryFailure> {
        let path = "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node".to_owned();
        let call = Call::get("read DaemonSet kube-system/aws-node", path);
        let object = self.object(&call, "daemonsets", "aws-node").await?;
        Ok(object.as_ref().map(node::environment))
    }

    async fn all(&self, kind: &str, path: String) -> Result<Vec<Value>, RegistryFailure> {
        let call = Call::get(format!("list the objects of kind {kind}"), path);
        list::all(&self.client, self.timeouts, &call, PAGE).await
    }

    /// One object of a cluster-scoped FireCamp kind.
    pub async fn one<S: Kind>(&self, name: &str) -> Result<Option<Value>, RegistryFailure> {
        let path = format!("{}/{name}", object_paths::collection::<S>());
        let call = Call::get(format!("read {} {name}", S::KIND), path);
        self.object(&call, S::PLURAL, name).await
    }

    /// The complete claim of a member.
    pub async fn claim(&self, member: &Member) -> Result<Option<Value>, RegistryFailure> {
        let place = Place::claim(member);
        let call = Call::get(format!("read {}", place.label), place.path());
        self.object(&call, place.plural, &place.name).await
    }

    async fn object(
        &self,
        call: &Call,
        resource: &str,
        name: &str,
    ) -> Result<Option<Value>, RegistryFailure> {
        let answer = self.send(call).await?;
        if classify::is_absent(&answer, resource, name) {
            return Ok(None);
        }
        read(call, &answer).map(Some)
    }

    /// The resources of FireCamp's API version that the API server serves; none if it does not
    /// serve the version.
    pub async fn served(&self) -> Result<Option<BTreeSet<Served>>, RegistryFailure> {
        let what = format!("read the resources of {}", api::VERSION);
        let call = Call::get(what, format!("/apis/{}", api::VERSION));
        let answer = self.send(&call).await?;
        // The 404 page of a proxy has another text.
        if answer.status == StatusCode::NOT_FOUND && answer.body.starts_with(NOT_SERVED) {
            return Ok(None);
        }
        let list: ResourceList = read(&call, &answer)?;
        Ok(Some(list.resources.into_iter().collect()))
    }

    /// The version that the API server reports.
    pub async fn version(&self) -> Result<String, RegistryFailure> {
        let call = Call::get("read the version of the API server", "/version".to_owned());
        let answer = self.send(&call).await?;
        let version: Value = read(&call, &answer)?;
        let text = version.get("gitVersion").and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| call.failed(RegistryKind::Invalid, Effect::None, "no gitVersion"))
    }

    /// Whether the API server's authorizers grant us the permission.
    pub async fn may(&self, right: &Right) -> Result<bool, RegistryFailure> {
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned();
        let mut call = Call::write(Method::POST, format!("check the permission to {right}"), path);
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": right.attributes() },
        });
        call.body = Some(("application/json", review.to_string().into_bytes()));
        let answer = self.send(&call).await.map_err(without_effect)?;
        let review: Value = read(&call, &answer).map_err(without_effect)?;
        let allowed = review.pointer("/status/allowed").and_then(Value::as_bool);
        allowed.ok_or_else(|| call.failed(RegistryKind::Invalid, Effect::None, "no status.allowed"))
    }

    async fn send(&self, call: &Call) -> Result<Answer, RegistryFailure> {
        http_request::send(&self.client, call, self.timeouts.call).await
    }
}

/// A review is sent as a write but stores nothing.
fn without_effect(failure: RegistryFailure) -> RegistryFailure {
    RegistryFailure { effect: Effect::None, ..failure }
}

fn read<T: DeserializeOwned>(call: &Call, answer: &Answer) -> Result<T, RegistryFailure> {
    if !answer.status.is_success() {
        return Err(classify::refused(call, answer));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|wrong| call.failed(RegistryKind::Invalid, Effect::None, wrong))
}

impl Right {
    fn attributes(&self) -> Value {
        json!({
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "subresource": self.subresource,
            "name": self.name,
            "namespace": self.namespace.as_deref().unwrap_or_default(),
        })
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        if !self.group.is_empty() {
            write!(f, " of {}", self.group)?;
        }
        if !self.name.is_empty() {
            write!(f, " named {}", self.name)?;
        }
        self.namespace.as_ref().map_or(Ok(()), |name| write!(f, " in namespace {name}"))
    }
}
