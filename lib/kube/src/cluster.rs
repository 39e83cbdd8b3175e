//! [`Cluster`] over the Kubernetes API: what only the holder of the Lease reads and writes.
//!
//! A change of metadata or of a status is a merge patch that names the version that was read, and
//! a deletion names UID and version: whatever was changed since is a conflict.

mod change;
mod lease;
mod seen;

use std::net::Ipv4Addr;

use firecamp_controllers::leader::{
    AddressSeen, Change, ClaimSeen, Cluster, LeaseSeen, LeaseWrite, NodeSeen, PodSeen, PoolSeen,
    SetName, StatefulSet,
};
use firecamp_controllers::publish::{About, Board, Event};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName};
use firecamp_registry::api::{StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec};
use http::StatusCode;
use jiff::Timestamp;
use kube::Client;

use crate::board::KubeBoard;
use crate::call::{self, Answer, Call, Timeouts};
use crate::classify;
use crate::object::{self, Place};
use crate::registry::KubeRegistry;
use crate::watch::Watched;

/// What the holder of the Lease needs of the Kubernetes API.
#[derive(Clone)]
pub struct KubeCluster {
    client: Client,
    timeouts: Timeouts,
    /// Where the Lease is.
    namespace: String,
}

impl std::fmt::Debug for KubeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeCluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl KubeCluster {
    /// Over the connection of a registry. The Lease is kept in the client's own namespace: that
    /// of the pod, or of the kubeconfig's context.
    pub fn new(registry: &KubeRegistry) -> Self {
        let (client, timeouts) = registry.connection();
        let namespace = client.default_namespace().to_owned();
        Self { client, timeouts, namespace }
    }

    /// With the Lease in another namespace.
    #[must_use]
    pub fn with_lease_in(self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self }
    }

    /// Writes an Event about a StaticIP, as the agent of this node.
    pub async fn tell(
        &self,
        node: &NodeName,
        address: Ipv4Addr,
        (action, reason, text): (&'static str, &'static str, String),
    ) -> Result<(), RegistryFailure> {
        let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let about = About::StaticIp(address);
        let event = Event { about, related: None, reason, action, warns: false, note: text, at };
        KubeBoard::new(self.client.clone(), self.timeouts, node.clone()).post(&event).await
    }

    async fn send(&self, call: &Call) -> Result<Answer, RegistryFailure> {
        call::send(&self.client, call, self.timeouts.call).await
    }

    /// One object, or none if the API server says that it does not exist.
    async fn get<T>(
        &self,
        place: &Place,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, RegistryFailure> {
        let call = Call::get(format!("read {}", place.label), place.path());
        let answer = self.send(&call).await?;
        if classify::is_absent(&answer, place.plural, &place.name) {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            return Err(classify::refused(&call, &answer));
        }
        let invalid = |wrong: String| call.failed(RegistryKind::Invalid, Effect::None, wrong);
        let text = std::str::from_utf8(&answer.body).map_err(|wrong| invalid(wrong.to_string()))?;
        seen::is_named(text, place.namespace.as_deref(), &place.name).map_err(invalid)?;
        read(text).map(Some).map_err(invalid)
    }

    async fn write(&self, call: &Call) -> Result<(), RegistryFailure> {
        let answer = self.send(call).await?;
        if answer.status.is_success() { Ok(()) } else { Err(classify::refused(call, &answer)) }
    }
}

impl Cluster for KubeCluster {
    async fn lease(&self) -> Result<Option<LeaseSeen>, RegistryFailure> {
        self.get(&lease::place(&self.namespace), lease::seen).await
    }

    async fn write_lease(&self, write: &LeaseWrite) -> Result<(), RegistryFailure> {
        self.write(&lease::request(&self.namespace, write)?).await
    }

    async fn pod(&self, member: &Member) -> Result<PodSeen, RegistryFailure> {
        let seen = self.get(&Place::pod(member), seen::pod).await?;
        Ok(seen.unwrap_or_else(seen::no_pod))
    }

    async fn claim(&self, member: &Member) -> Result<Option<ClaimSeen>, RegistryFailure> {
        self.get(&Place::claim(member), seen::claim).await
    }

    async fn set(&self, name: &SetName) -> Result<Option<StatefulSet>, RegistryFailure> {
        self.get(&seen::set_place(name), seen::set).await
    }

    async fn change(&self, change: &Change) -> Result<(), RegistryFailure> {
        self.write(&change::request(change)?).await
    }
}

/// What the holder lists and watches, of the whole cluster.
impl KubeCluster {
    /// All StaticIPs.
    pub fn addresses(&self) -> Watched<AddressSeen> {
        self.all("StaticIPs", object::collection::<StaticIPSpec>(), seen::address)
    }

    /// All claims, of all namespaces.
    pub fn claims(&self) -> Watched<ClaimSeen> {
        self.all("StaticIPClaims", object::collection::<StaticIPClaimSpec>(), seen::claim)
    }

    /// All pools.
    pub fn pools(&self) -> Watched<PoolSeen> {
        self.all("StaticIPPools", object::collection::<StaticIPPoolSpec>(), seen::pool)
    }

    /// All StatefulSets, of all namespaces.
    pub fn sets(&self) -> Watched<StatefulSet> {
        self.all("StatefulSets", "/apis/apps/v1/statefulsets".to_owned(), seen::set)
    }

    /// All Nodes.
    pub fn nodes(&self) -> Watched<NodeSeen> {
        self.all("Nodes", "/api/v1/nodes".to_owned(), seen::node)
    }

    fn all<T>(&self, what: &str, path: String, read: fn(&str) -> Result<T, String>) -> Watched<T> {
        let connection = (self.client.clone(), self.timeouts);
        Watched::new(connection, (what.to_owned(), path), None, read)
    }
}
