//! A registry that is opened once it can be. An agent starts before the directory is mounted or the
//! credentials are there, and does from its snapshot what it can.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, PoolName, Version};
use firecamp_core::outside::{PodView, Registry};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};
use firecamp_kube::Census;
use firecamp_registry::RegistryUrl;
use firecamp_run::connect::AnyRegistry;
use tokio::sync::OnceCell;

use crate::outside::Registrar;

/// The registry of a URL. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct LateRegistry {
    url: RegistryUrl,
    opened: Arc<OnceCell<AnyRegistry>>,
}

impl LateRegistry {
    pub(crate) fn new(url: RegistryUrl) -> Self {
        Self { url, opened: Arc::default() }
    }

    /// The registry. Where it cannot be opened, each use tries again.
    pub(crate) async fn get(&self) -> Result<&AnyRegistry, RegistryFailure> {
        self.opened.get_or_try_init(|| firecamp_run::connect::open(&self.url)).await
    }
}

impl From<AnyRegistry> for LateRegistry {
    /// One that is open.
    fn from(registry: AnyRegistry) -> Self {
        Self { url: RegistryUrl::InCluster, opened: Arc::new(OnceCell::new_with(Some(registry))) }
    }
}

impl Registry for LateRegistry {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        self.get().await?.member(member, pool).await
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        self.get().await?.static_ip(address).await
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        self.get().await?.pod(member).await
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        self.get().await?.allocated(pool).await
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        self.get().await?.write(write).await
    }
}

impl Registrar for LateRegistry {
    async fn census(&self, address: Ipv4Addr, node: &NodeName) -> Result<Census, RegistryFailure> {
        match self.get().await? {
            AnyRegistry::Kube(registry) => Box::pin(registry.census(address, node)).await,
            // No pool there asks for it: an agent of files sees no other node's claims and pods.
            AnyRegistry::File(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: format!("files do not tell whether anybody has {address}"),
            }),
        }
    }
}
