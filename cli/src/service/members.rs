//! Reads a StatefulSet or a Deployment, and its members.

use firecamp_core::contract::service::NAME_LABEL;
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_kube::{ObjectKind, ObjectPath, Selector};
use serde_json::Value;

use super::cluster::{ServiceCluster, kind, path};
use super::restart::facts::{Facts, parse};
use super::stateless;
use crate::common::command_result::UnreadableObject;
use crate::common::json::{at, text};
use crate::wait::facts::Address;
use crate::wait::gather::address;

/// The members of one StatefulSet, or of one Deployment.
#[derive(Debug)]
pub struct Members<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// The StatefulSet, or the Deployment of a stateless service.
    pub set: ObjectPath,
}

impl<'a, C: ServiceCluster> Members<'a, C> {
    /// Those of a service: of the StatefulSet with its name or, if there is none, of the Deployment
    /// that `firecamp service create --stateless` made. If there is neither, the StatefulSet.
    pub async fn of(cluster: &'a C, namespace: &str, name: &str) -> Result<Self, RegistryFailure> {
        let set = path(kind::STATEFUL_SET, namespace, name);
        let deployment = path(kind::DEPLOYMENT, namespace, name);
        let is_ours = |one: Value| at(&one, "/metadata/labels").get(NAME_LABEL).is_some();
        let is_stateless = cluster.get(&set).await?.is_none()
            && cluster.get(&deployment).await?.is_some_and(is_ours);
        Ok(Self { cluster, set: if is_stateless { deployment } else { set } })
    }

    /// Whether they are the pods of a Deployment.
    pub fn is_stateless(&self) -> bool {
        self.set.kind == kind::DEPLOYMENT
    }

    /// The namespace of the service.
    pub fn namespace(&self) -> &str {
        self.set.namespace.as_deref().unwrap_or_default()
    }

    /// The StatefulSet, which must exist. A stateless service has none.
    pub async fn stateful_set(&self) -> Result<Value, RegistryFailure> {
        if self.is_stateless() {
            return Err(invalid(format!("{}: a stateless service has no StatefulSet", self.set)));
        }
        self.workload().await
    }

    /// The StatefulSet or the Deployment, which must exist.
    pub async fn workload(&self) -> Result<Value, RegistryFailure> {
        self.cluster.get(&self.set).await?.ok_or_else(|| {
            let problem = "it does not exist: `firecamp service list` shows those that do";
            invalid(format!("read {}: {problem}", self.set))
        })
    }

    /// The pods that the StatefulSet controls.
    pub async fn pods(&self, set: &Value) -> Result<Vec<Value>, RegistryFailure> {
        let mut pods = self.selected(kind::POD, set).await?;
        pods.retain(|pod| is_owned(pod, set));
        Ok(pods)
    }

    /// The objects of a kind with the labels that the StatefulSet or the Deployment selects.
    async fn selected(&self, kind: ObjectKind, set: &Value) -> Result<Vec<Value>, RegistryFailure> {
        let labels = at(set, "/spec/selector/matchLabels").as_object().into_iter().flatten();
        let labels = labels.map(|(name, value)| format!("{name}={}", text(value, "")));
        let labels = labels.collect::<Vec<_>>().join(",");
        let selector = Selector { labels, ..Selector::default() };
        self.cluster.list(kind, Some(self.namespace()), &selector).await
    }

    /// The addresses of the namespace's members.
    pub async fn addresses(&self) -> Result<Vec<Address>, RegistryFailure> {
        let fields = format!("spec.claimRef.namespace={}", self.namespace());
        let selector = Selector { fields, ..Selector::default() };
        let all = self.cluster.list(kind::STATIC_IP, None, &selector).await?;
        let unread = |one: UnreadableObject| invalid(format!("{}: {}", one.what, one.why));
        all.into_iter().map(|object| address(object).map_err(unread)).collect()
    }

    /// The facts about the members of a StatefulSet or a Deployment that was just read. Roles are
    /// unknown.
    pub async fn facts(&self, set: &Value) -> Result<Facts, RegistryFailure> {
        if self.is_stateless() {
            let revisions = self.selected(kind::REPLICA_SET, set).await?;
            return Ok(stateless::parse(set, &revisions, &self.selected(kind::POD, set).await?));
        }
        Ok(parse(set, &self.pods(set).await?, &self.addresses().await?))
    }
}

/// Whether the StatefulSet controls the object.
pub(crate) fn is_owned(object: &Value, set: &Value) -> bool {
    let owners = at(object, "/metadata/ownerReferences").as_array().into_iter().flatten();
    let uid = text(set, "/metadata/uid");
    owners.into_iter().any(|one| text(one, "/uid") == uid && at(one, "/controller") == true)
}

/// An object that is missing, or not as it must be.
pub(crate) fn invalid(detail: String) -> RegistryFailure {
    RegistryFailure { kind: RegistryKind::Invalid, effect: Effect::None, detail }
}
