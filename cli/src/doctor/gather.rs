//! Reads what the checks need. A failed read is reported and does not stop the others.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_core::agent::ResourceList;
use firecamp_core::failure::RegistryFailure;
use firecamp_kube::{Inventory, ObservedNode, PodState, Right, Served};
use firecamp_registry::api::{NodeAttachments, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec};

use super::finding::Role;
use super::required_permissions;
use crate::common::known_or_unknown::Answer;
use crate::common::progress;
use crate::common::registry_reader::{Cluster, Found, Listing, RegistryReader};

/// The contents of a registry.
#[derive(Debug, Clone)]
pub struct RegistrySnapshot {
    /// The registry.
    pub registry: String,
    /// Its pools.
    pub pools: Answer<Listing<Found<StaticIPPoolSpec>>>,
    /// Its claims.
    pub claims: Answer<Listing<Found<StaticIPClaimSpec>>>,
    /// Its addresses.
    pub addresses: Answer<Listing<Found<StaticIPSpec>>>,
    /// What only a cluster has.
    pub cluster: Option<Kubernetes>,
}

/// What only a cluster has.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The version of its API server.
    pub version: Answer<String>,
    /// The resources of our API group that it serves.
    pub served: Answer<Option<BTreeSet<Served>>>,
    /// Permissions, and whether the credentials in use have them.
    pub rights: Vec<(Right, Answer<bool>)>,
    /// Its nodes.
    pub nodes: Answer<BTreeMap<String, ObservedNode>>,
    /// The NodeAttachments that the agents have published.
    pub reports: Answer<Listing<NodeAttachments>>,
    /// What the live pods in the namespaces of claims request, by NAMESPACE/NAME.
    pub requests: Answer<BTreeMap<String, ResourceList>>,
}

/// Reads a registry.
pub async fn gather(reader: &RegistryReader, role: Role) -> RegistrySnapshot {
    let mut seen = RegistrySnapshot {
        registry: reader.label(),
        pools: reader.all().await.into(),
        claims: reader.all().await.into(),
        addresses: reader.all().await.into(),
        cluster: None,
    };
    if let RegistryReader::Cluster(cluster) = reader {
        let claims = seen.claims.known().into_iter().flat_map(|claims| &claims.found);
        let namespaces = claims.filter_map(|claim| claim.metadata.namespace.clone()).collect();
        let requests = Answer::from(requests(&cluster.inventory, &namespaces).await);
        seen.cluster = Some(kubernetes(reader, (cluster, requests), role).await);
    }
    seen
}

async fn requests(
    inventory: &Inventory,
    namespaces: &BTreeSet<String>,
) -> Result<BTreeMap<String, ResourceList>, RegistryFailure> {
    let read = async {
        let mut all = BTreeMap::new();
        for namespace in namespaces {
            let pods = inventory.pods(namespace).await?.into_iter();
            let live = pods.filter(|pod| pod.lifecycle == PodState::Live);
            all.extend(live.map(|pod| (format!("{namespace}/{}", pod.name), pod.requested)));
        }
        Ok(all)
    };
    progress::during("list the pods of the members' namespaces", read).await
}

async fn kubernetes(
    reader: &RegistryReader,
    (cluster, requests): (&Cluster, Answer<BTreeMap<String, ResourceList>>),
    role: Role,
) -> Kubernetes {
    let inventory = &cluster.inventory;

    let read = async {
        let mut answers = Vec::new();
        for right in required_permissions::of(role, &cluster.namespace) {
            let answer = Answer::from(inventory.may(&right).await);
            answers.push((right, answer));
        }
        (Answer::from(inventory.version().await), Answer::from(inventory.served().await), answers)
    };
    let what = "read the version, the resources and the granted permissions from the API server";
    let (version, served, rights) = progress::during(what, read).await;
    let nodes = reader.nodes().await.transpose().map_or_else(not_available, Answer::from);
    let reports = reader.reports().await.transpose().map_or_else(not_available, Answer::from);
    Kubernetes { version, served, rights, nodes, reports, requests }
}

fn not_available<T>() -> Answer<T> {
    Answer::unknown("not available in this registry")
}
