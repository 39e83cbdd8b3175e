//! Reads a StatefulSet and its members.

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_kube::{ObjectPath, Selector};
use serde_json::Value;

use super::cluster::{ServiceCluster, kind};
use super::restart::facts::{Facts, parse};
use crate::common::command_result::UnreadableObject;
use crate::common::json::{at, text};
use crate::wait::facts::Address;
use crate::wait::gather::address;

/// The members of one StatefulSet.
#[derive(Debug)]
pub struct Members<'a, C> {
    /// The cluster.
    pub cluster: &'a C,
    /// The StatefulSet.
    pub set: ObjectPath,
}

impl<C: ServiceCluster> Members<'_, C> {
    /// The namespace of the StatefulSet.
    pub fn namespace(&self) -> &str {
        self.set.namespace.as_deref().unwrap_or_default()
    }

    /// The StatefulSet, which must exist.
    pub async fn stateful_set(&self) -> Result<Value, RegistryFailure> {
        self.cluster.get(&self.set).await?.ok_or_else(|| {
            let problem = "it does not exist: `firecamp service list` shows those that do";
            invalid(format!("read {}: {problem}", self.set))
        })
    }

    /// The pods that the StatefulSet controls.
    pub async fn pods(&self, set: &Value) -> Result<Vec<Value>, RegistryFailure> {
        let labels = at(set, "/spec/selector/matchLabels").as_object().into_iter().flatten();
        let labels = labels.map(|(name, value)| format!("{name}={}", text(value, "")));
        let labels = labels.collect::<Vec<_>>().join(",");
        let selector = Selector { labels, ..Selector::default() };
        let mut pods = self.cluster.list(kind::POD, Some(self.namespace()), &selector).await?;
        pods.retain(|pod| is_owned(pod, set));
        Ok(pods)
    }

    /// The addresses of the namespace's members.
    pub async fn addresses(&self) -> Result<Vec<Address>, RegistryFailure> {
        let fields = format!("spec.claimRef.namespace={}", self.namespace());
        let selector = Selector { fields, ..Selector::default() };
        let all = self.cluster.list(kind::STATIC_IP, None, &selector).await?;
        let unread = |one: UnreadableObject| invalid(format!("{}: {}", one.what, one.why));
        all.into_iter().map(|object| address(object).map_err(unread)).collect()
    }

    /// The facts about the members of a StatefulSet that was just read. Roles are unknown.
    pub async fn facts(&self, set: &Value) -> Result<Facts, RegistryFailure> {
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
