//! Reads what the checks need. What fails is told, and keeps nothing else from being checked.

use std::collections::{BTreeMap, BTreeSet};

use firecamp_kube::{NodeSeen, Right, Served};
use firecamp_registry::api::{NodeAttachments, StaticIPClaimSpec, StaticIPPoolSpec, StaticIPSpec};

use super::finding::Role;
use super::rights;
use crate::look::asked::Asked;
use crate::look::book::{Book, Cluster, Found, Listing};
use crate::look::progress;

/// All that was read.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which registry.
    pub registry: String,
    /// Its pools.
    pub pools: Asked<Listing<Found<StaticIPPoolSpec>>>,
    /// Its claims.
    pub claims: Asked<Listing<Found<StaticIPClaimSpec>>>,
    /// Its addresses.
    pub addresses: Asked<Listing<Found<StaticIPSpec>>>,
    /// What only a cluster has.
    pub cluster: Option<Kubernetes>,
}

/// What only a cluster has.
#[derive(Debug, Clone)]
pub struct Kubernetes {
    /// The version of its API server.
    pub version: Asked<String>,
    /// What it serves of our group.
    pub served: Asked<Option<BTreeSet<Served>>>,
    /// Rights, and whether we have them.
    pub rights: Vec<(Right, Asked<bool>)>,
    /// Its nodes.
    pub nodes: Asked<BTreeMap<String, NodeSeen>>,
    /// What the agents have published.
    pub reports: Asked<Listing<NodeAttachments>>,
}

/// Reads a registry.
pub async fn gather(book: &Book, role: Role) -> Seen {
    Seen {
        registry: book.label(),
        pools: book.all().await.into(),
        claims: book.all().await.into(),
        addresses: book.all().await.into(),
        cluster: match book {
            Book::File(_) => None,
            Book::Cluster(cluster) => Some(kubernetes(book, cluster, role).await),
        },
    }
}

async fn kubernetes(book: &Book, cluster: &Cluster, role: Role) -> Kubernetes {
    let inventory = &cluster.inventory;

    let read = async {
        let mut answers = Vec::new();
        for right in rights::of(role, &cluster.namespace) {
            let answer = Asked::from(inventory.may(&right).await);
            answers.push((right, answer));
        }
        (Asked::from(inventory.version().await), Asked::from(inventory.served().await), answers)
    };
    let what = "ask the API server for its version, its resources and our rights";
    let (version, served, rights) = progress::during(what, read).await;
    let nodes = book.nodes().await.transpose().map_or_else(unasked, Asked::from);
    let reports = book.reports().await.transpose().map_or_else(unasked, Asked::from);
    Kubernetes { version, served, rights, nodes, reports }
}

fn unasked<T>() -> Asked<T> {
    Asked::not("this registry has none")
}
