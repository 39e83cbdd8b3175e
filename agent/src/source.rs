//! The sources of the static IPs and pods of a node.

mod cache;
mod file_registry;
mod follow;
mod kubernetes;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_controllers::node::Listing;
use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, NodeName, PodUid};
use firecamp_registry::RegistryUrl;
use firecamp_run::connect::AnyRegistry;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::file_registry::FileSource;
pub(crate) use self::follow::follow;
pub(crate) use self::kubernetes::KubeSource;

/// The static IPs and pods of a node, and their changes.
pub(crate) trait Source: 'static {
    /// Lists the current state, or fails. `known` are the addresses in the node's kernel or locks,
    /// whichever node holds them by now.
    fn list(
        &self,
        known: BTreeSet<Ipv4Addr>,
    ) -> impl Future<Output = Result<Listing, RegistryFailure>>;

    /// Waits until something may have changed. Cancel-safe.
    fn changed(&self) -> impl Future<Output = ()>;

    /// Runs beside the agent until `end`.
    fn follow(&self, end: &CancellationToken) -> impl Future<Output = ()>;

    /// Whether the source is up to date: every system that it reads responds.
    fn is_synced(&self) -> bool;
}

/// A pod with a pool's label, and without a volume to attach first, that was bound to this node and
/// has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundPod {
    pub(crate) member: Member,
    pub(crate) pod: PodUid,
    /// When that was observed.
    pub(crate) since: Instant,
}

/// The source of a registry.
pub(crate) enum AnySource {
    File(Box<FileSource>),
    Kube(Box<KubeSource>),
}

impl AnySource {
    /// A source that reports each pod that was bound to this node to `bound`.
    pub(crate) fn new(
        url: &RegistryUrl,
        node: NodeName,
        registry: AnyRegistry,
        bound: mpsc::Sender<BoundPod>,
    ) -> Self {
        match url {
            RegistryUrl::File(_) => Self::File(Box::new(FileSource::new(registry))),
            RegistryUrl::InCluster | RegistryUrl::Kubeconfig(_) => {
                Self::Kube(Box::new(KubeSource::new(node, registry, bound)))
            }
        }
    }
}

impl Source for AnySource {
    async fn list(&self, known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        match self {
            Self::File(source) => source.list(known).await,
            Self::Kube(source) => source.list(known).await,
        }
    }

    async fn changed(&self) {
        match self {
            Self::File(source) => source.changed().await,
            Self::Kube(source) => source.changed().await,
        }
    }

    async fn follow(&self, end: &CancellationToken) {
        match self {
            Self::File(source) => source.follow(end).await,
            Self::Kube(source) => source.follow(end).await,
        }
    }

    fn is_synced(&self) -> bool {
        match self {
            Self::File(source) => source.is_synced(),
            Self::Kube(source) => source.is_synced(),
        }
    }
}
