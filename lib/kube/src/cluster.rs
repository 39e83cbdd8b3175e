//! [`Cluster`] for the Kubernetes API: the reads and writes of the leader.
//!
//! Metadata and status are updated by a merge patch with the version that was read. A deletion has
//! UID and version as preconditions. So every change since the read is a conflict.

mod change;
mod gated_pod;
mod lease;
mod names;
mod parse;

use firecamp_controllers::leader::{
    BoundVolume, Change, Cluster, GatedPod, LeaseWrite, NamedService, NamespacedName,
    ObservedClaim, ObservedLease, ObservedNode, ObservedPod, ObservedPool, ObservedRecords,
    ObservedSlice, ObservedStaticIp, StatefulSet,
};
use firecamp_controllers::publish::{Event, StatusWriter};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName};
use firecamp_core::managed_interface::StoredInterface;
use http::StatusCode;
use jiff::Timestamp;
use kube::Client;

use crate::classify;
use crate::http_request::{self, Answer, Call, Timeouts};
use crate::object_paths::Place;
use crate::registry::KubeRegistry;
use crate::status_writer::KubeStatusWriter;
use crate::watch::{Watchable, Watched};

/// The leader's client of the Kubernetes API.
#[derive(Clone)]
pub struct KubeCluster {
    client: Client,
    timeouts: Timeouts,
    /// The namespace of the Lease.
    namespace: String,
}

impl std::fmt::Debug for KubeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeCluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl KubeCluster {
    /// Uses the connection of a registry. The Lease is in the client's own namespace: that of the
    /// pod, or of the kubeconfig's context.
    pub fn new(registry: &KubeRegistry) -> Self {
        let (client, timeouts) = registry.connection();
        let namespace = client.default_namespace().to_owned();
        Self { client, timeouts, namespace }
    }

    /// The same with the Lease in another namespace.
    #[must_use]
    pub fn with_lease_in(self, namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), ..self }
    }

    /// Emits an Event of the agent of this node. Its time is the present.
    pub async fn report(&self, node: &NodeName, mut event: Event) -> Result<(), RegistryFailure> {
        event.at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        KubeStatusWriter::new(self.client.clone(), self.timeouts, node.clone()).post(&event).await
    }

    async fn send(&self, call: &Call) -> Result<Answer, RegistryFailure> {
        http_request::send(&self.client, call, self.timeouts.call).await
    }

    /// One object, or none if the API server reports that it does not exist.
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
        parse::is_named(text, place.namespace.as_deref(), &place.name).map_err(invalid)?;
        read(text).map(Some).map_err(invalid)
    }

    async fn write(&self, call: &Call) -> Result<(), RegistryFailure> {
        let answer = self.send(call).await?;
        if answer.status.is_success() { Ok(()) } else { Err(classify::refused(call, &answer)) }
    }
}

impl Cluster for KubeCluster {
    async fn lease(&self) -> Result<Option<ObservedLease>, RegistryFailure> {
        self.get(&lease::place(&self.namespace), lease::parse).await
    }

    async fn write_lease(&self, write: &LeaseWrite) -> Result<(), RegistryFailure> {
        self.write(&lease::request(&self.namespace, write)?).await
    }

    async fn pod(&self, member: &Member) -> Result<ObservedPod, RegistryFailure> {
        let found = self.get(&Place::pod(member), parse::pod).await?;
        Ok(found.unwrap_or_else(parse::no_pod))
    }

    async fn volumes(
        &self,
        member: &Member,
        claims: &[String],
    ) -> Result<Vec<BoundVolume>, RegistryFailure> {
        let mut volumes = Vec::new();
        for claim in claims {
            let place = Place::volume_claim(member.namespace(), claim);
            let Some(name) = self.get(&place, gated_pod::bound_volume).await?.flatten() else {
                continue;
            };
            let zones = self.get(&Place::volume(&name), gated_pod::zones).await?;
            volumes.extend(zones.map(|zones| BoundVolume { name, zones }));
        }
        Ok(volumes)
    }

    async fn claim(&self, member: &Member) -> Result<Option<ObservedClaim>, RegistryFailure> {
        self.get(&Place::claim(member), Watchable::parse).await
    }

    async fn set(&self, name: &NamespacedName) -> Result<Option<StatefulSet>, RegistryFailure> {
        self.get(&parse::set_place(name), Watchable::parse).await
    }

    async fn change(&self, change: &Change) -> Result<(), RegistryFailure> {
        let conditions = match change::conditioned(change) {
            // An object that has changed since, or is gone, refuses the request.
            Some(place) => self.get(&place, parse::conditions).await?.unwrap_or_default(),
            None => Vec::new(),
        };
        self.write(&change::request(change, &conditions)?).await
    }
}

/// The leader's cluster-wide lists and watches.
impl KubeCluster {
    /// All StaticIPs.
    pub fn addresses(&self) -> Watched<ObservedStaticIp> {
        self.all("StaticIPs")
    }

    /// All claims, of all namespaces.
    pub fn claims(&self) -> Watched<ObservedClaim> {
        self.all("StaticIPClaims")
    }

    /// All pools.
    pub fn pools(&self) -> Watched<ObservedPool> {
        self.all("StaticIPPools")
    }

    /// All StatefulSets, of all namespaces.
    pub fn sets(&self) -> Watched<StatefulSet> {
        self.all("StatefulSets")
    }

    /// All Nodes.
    pub fn nodes(&self) -> Watched<ObservedNode> {
        self.all("Nodes")
    }

    /// All interfaces that FireCamp makes.
    pub fn interfaces(&self) -> Watched<StoredInterface> {
        self.all("NodeInterfaces")
    }

    /// The pods without a node, of all namespaces: those with FireCamp's scheduling gate, and none
    /// for each other.
    pub fn unscheduled_pods(&self) -> Watched<Option<GatedPod>> {
        self.all("unscheduled pods").of("spec.nodeName=")
    }

    /// The Services that name members, of all namespaces.
    pub fn services(&self) -> Watched<NamedService> {
        self.all("Services").labelled(names::selector::SERVICES)
    }

    /// The EndpointSlices of headless Services, of all namespaces.
    pub fn slices(&self) -> Watched<ObservedSlice> {
        self.all("EndpointSlices").labelled(names::selector::SLICES)
    }

    /// The DNSEndpoints that FireCamp made, of all namespaces.
    pub fn records(&self) -> Watched<ObservedRecords> {
        self.all("DNSEndpoints").labelled(&names::selector::records())
    }

    fn all<T: Watchable>(&self, what: &str) -> Watched<T> {
        Watched::new((self.client.clone(), self.timeouts), what.to_owned()).in_pages()
    }
}
