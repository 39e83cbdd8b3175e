//! The registry of one process: in memory, or that of a cluster through the real client.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};
use firecamp_kube::KubeRegistry;

use super::{Api, ProcessHandle, gateway};

/// The registry as one process accesses it.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    Memory(Api),
    Cluster(KubeRegistry),
}

impl Records {
    pub(super) fn of(handle: &ProcessHandle) -> Self {
        let clustered = handle.shared.sim().api.is_some();
        if clustered {
            Self::Cluster(gateway::registry(handle))
        } else {
            Self::Memory(Api(handle.clone()))
        }
    }
}

impl Registry for Records {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        match self {
            Self::Memory(api) => api.member(member, pool).await,
            Self::Cluster(kube) => Box::pin(kube.member(member, pool)).await,
        }
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        match self {
            Self::Memory(api) => api.static_ip(address).await,
            Self::Cluster(kube) => Box::pin(kube.static_ip(address)).await,
        }
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        match self {
            Self::Memory(api) => api.pod(member).await,
            Self::Cluster(kube) => Box::pin(kube.pod(member)).await,
        }
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        match self {
            Self::Memory(api) => api.allocated(pool).await,
            Self::Cluster(kube) => Box::pin(kube.allocated(pool)).await,
        }
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        match self {
            Self::Memory(api) => api.write(write).await,
            Self::Cluster(kube) => Box::pin(kube.write(write)).await,
        }
    }
}
