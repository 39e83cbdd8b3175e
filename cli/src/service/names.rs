//! The names of members in DNS, as the Services of their StatefulSet ask for them (docs/names.md).

use firecamp_core::contract::names::{
    NAMES_READY, SET_LABEL, ZONE_ANNOTATION, in_cluster, in_zone, zone_asked,
};
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::ClusterName;
use firecamp_kube::Selector;
use serde::Serialize;
use serde_json::Value;

use super::cluster::{ServiceCluster, kind};
use super::members::Members;
use crate::common::json::{at, text};

/// Whether the names of a Service are published, according to its condition `NamesReady`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamesReady {
    /// The name of the Service.
    pub service: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why.
    pub reason: String,
    /// The same as text.
    pub message: String,
}

/// The Services that name the members of a StatefulSet.
pub(super) struct Names<'a> {
    services: Vec<Value>,
    cluster: Option<&'a ClusterName>,
}

impl<'a> Names<'a> {
    /// Reads them with one request. The name of the cluster is that of its zone `default`.
    pub(super) async fn of<C: ServiceCluster>(
        members: &Members<'_, C>,
        cluster: Option<&'a ClusterName>,
    ) -> Result<Self, RegistryFailure> {
        let labels = format!("{SET_LABEL}={}", members.set.name);
        let selector = Selector { labels, ..Selector::default() };
        let namespace = Some(members.namespace());
        let services = members.cluster.list(kind::SERVICE, namespace, &selector).await?;
        Ok(Self { services, cluster })
    }

    /// The names of a member: for each Service the one in the cluster, and the one in its zone.
    pub(super) fn of_member(&self, member: &str) -> Vec<String> {
        let names = self.services.iter().flat_map(|service| {
            let (name, namespace) =
                (text(service, "/metadata/name"), text(service, "/metadata/namespace"));
            [Some(in_cluster(member, name, namespace)), self.in_vpc(service, member)]
        });
        names.flatten().collect()
    }

    fn in_vpc(&self, service: &Value, member: &str) -> Option<String> {
        let asked = at(service, "/metadata/annotations").get(ZONE_ANNOTATION)?.as_str()?;
        zone_asked(asked, self.cluster).map(|zone| in_zone(member, &zone))
    }

    /// Whether they are published.
    pub(super) fn ready(&self) -> Vec<NamesReady> {
        self.services.iter().map(ready).collect()
    }
}

fn ready(service: &Value) -> NamesReady {
    let conditions = at(service, "/status/conditions").as_array().into_iter().flatten();
    let condition = conditions.into_iter().find(|one| text(one, "/type") == NAMES_READY);
    let service = text(service, "/metadata/name").to_owned();
    let Some(condition) = condition else {
        let message = "no agent has reported about it: the names do not resolve unless the agents \
                       run with names.enabled";
        return NamesReady {
            service,
            status: "Unknown".to_owned(),
            reason: "NotReported".to_owned(),
            message: message.to_owned(),
        };
    };
    let of = |pointer| text(condition, pointer).to_owned();
    NamesReady { service, status: of("/status"), reason: of("/reason"), message: of("/message") }
}
