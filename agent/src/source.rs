//! Where the agent learns which static IPs and pods concern its node.

mod file;
mod follow;
mod kube;
mod mirror;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, NodeName};
use firecamp_core::outside::PodView;
use firecamp_core::record::{Pool, StaticIp};
use firecamp_registry::RegistryUrl;
use tokio_util::sync::CancellationToken;

pub(crate) use self::file::FileSource;
pub(crate) use self::follow::{Told, follow};
pub(crate) use self::kube::KubeSource;
use crate::late::LateRegistry;

/// What a source tells in one answer. What could not be read is left out, and never taken for
/// absent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// The records that may concern the node.
    pub(crate) records: BTreeMap<Ipv4Addr, StaticIp>,
    /// The addresses whose records are there and cannot be read.
    pub(crate) unread: BTreeSet<Ipv4Addr>,
    /// The live pods of their members. One that is left out is not known.
    pub(crate) pods: BTreeMap<Member, PodView>,
    /// All pools, if they could all be read.
    pub(crate) pools: Option<Vec<Pool>>,
}

/// The static IPs and pods of a node, and changes of them.
pub(crate) trait Source: 'static {
    /// Everything as it is now, or why nobody knows. `known` are addresses that the node's kernel
    /// or its locks have, whoever they belong to by now.
    fn look(
        &self,
        known: BTreeSet<Ipv4Addr>,
    ) -> impl Future<Output = Result<Listing, RegistryFailure>>;

    /// Waits until something may have changed. Cancelling it loses nothing.
    fn changed(&self) -> impl Future<Output = ()>;

    /// Runs beside the agent until the end.
    fn follow(&self, end: &CancellationToken) -> impl Future<Output = ()>;

    /// Whether what it tells is as new as it can be: nothing that it reads is away.
    fn is_current(&self) -> bool;
}

/// The source that goes with a registry.
pub(crate) enum AnySource {
    File(Box<FileSource>),
    Kube(Box<KubeSource>),
}

impl AnySource {
    pub(crate) fn new(url: &RegistryUrl, node: NodeName, registry: LateRegistry) -> Self {
        match url {
            RegistryUrl::File(_) => Self::File(Box::new(FileSource::new(registry))),
            RegistryUrl::InCluster | RegistryUrl::Kubeconfig(_) => {
                Self::Kube(Box::new(KubeSource::new(node, registry)))
            }
        }
    }
}

impl Source for AnySource {
    async fn look(&self, known: BTreeSet<Ipv4Addr>) -> Result<Listing, RegistryFailure> {
        match self {
            Self::File(source) => source.look(known).await,
            Self::Kube(source) => source.look(known).await,
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

    fn is_current(&self) -> bool {
        match self {
            Self::File(source) => source.is_current(),
            Self::Kube(source) => source.is_current(),
        }
    }
}
