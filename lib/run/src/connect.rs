//! The registry that a URL names: files in a directory, or the API of a cluster.
//!
//! Whoever needs a [`Registry`] and leaves it to a person which one, opens it here. The choice is
//! an enum and not a trait object: the methods of [`Registry`] are async.

mod tell;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::outside::{PodView, Registry};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};
use firecamp_kube::{KubeRegistry, Source};
use firecamp_registry::{FileRegistry, RegistryUrl};

pub use tell::Teller;

/// One of the registries that are shipped.
#[derive(Debug, Clone)]
pub enum AnyRegistry {
    /// Files in a directory: one machine, no cluster.
    File(FileRegistry),
    /// The Kubernetes API.
    Kube(KubeRegistry),
}

/// A runner gives up on a request after five seconds and cannot say which one it was; the request
/// itself can, if it gives up before.
const CALL: Duration = Duration::from_secs(4);

/// Opens the registry. Of a cluster nothing is asked yet, of a directory that it exists.
pub async fn open(url: &RegistryUrl) -> Result<AnyRegistry, RegistryFailure> {
    let source = match url {
        RegistryUrl::File(directory) => {
            let timeouts = firecamp_registry::Timeouts::default();
            return FileRegistry::open(directory, timeouts).map(AnyRegistry::File);
        }
        RegistryUrl::InCluster => Source::InCluster,
        RegistryUrl::Kubeconfig(path) => Source::Kubeconfig(path.clone()),
    };
    let timeouts = firecamp_kube::Timeouts { call: CALL, ..firecamp_kube::Timeouts::default() };
    source.connect(timeouts).await.map(AnyRegistry::Kube)
}

// A client's futures are large; boxed, they are not part of every caller's.
impl Registry for AnyRegistry {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        match self {
            Self::File(registry) => registry.member(member, pool).await,
            Self::Kube(registry) => Box::pin(registry.member(member, pool)).await,
        }
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        match self {
            Self::File(registry) => registry.static_ip(address).await,
            Self::Kube(registry) => Box::pin(registry.static_ip(address)).await,
        }
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        match self {
            Self::File(registry) => registry.pod(member).await,
            Self::Kube(registry) => Box::pin(registry.pod(member)).await,
        }
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        match self {
            Self::File(registry) => registry.allocated(pool).await,
            Self::Kube(registry) => Box::pin(registry.allocated(pool)).await,
        }
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        match self {
            Self::File(registry) => registry.write(write).await,
            Self::Kube(registry) => Box::pin(registry.write(write)).await,
        }
    }
}
