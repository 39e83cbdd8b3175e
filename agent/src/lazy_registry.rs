//! A registry that is opened on first use. An agent may start before the directory is mounted or
//! the credentials exist, and then works from its snapshot.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, NodeName, PoolName, Version};
use firecamp_core::ports::{PodView, Registry};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};
use firecamp_kube::Census;
use firecamp_registry::RegistryUrl;
use firecamp_run::connect::AnyRegistry;
use tokio::sync::OnceCell;

use crate::ports::Registrar;

/// The registry of a URL. Clones share one connection.
#[derive(Debug, Clone)]
pub(crate) struct LazyRegistry {
    url: RegistryUrl,
    opened: Arc<OnceCell<AnyRegistry>>,
}

impl LazyRegistry {
    pub(crate) fn new(url: RegistryUrl) -> Self {
        Self { url, opened: Arc::default() }
    }

    /// The registry. While it cannot be opened, each call tries again.
    pub(crate) async fn get(&self) -> Result<&AnyRegistry, RegistryFailure> {
        self.opened.get_or_try_init(|| firecamp_run::connect::open(&self.url)).await
    }
}

impl From<AnyRegistry> for LazyRegistry {
    /// A registry that is already open.
    fn from(registry: AnyRegistry) -> Self {
        Self { url: RegistryUrl::InCluster, opened: Arc::new(OnceCell::new_with(Some(registry))) }
    }
}

impl Registry for LazyRegistry {
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

impl Registrar for LazyRegistry {
    async fn census(&self, address: Ipv4Addr, node: &NodeName) -> Result<Census, RegistryFailure> {
        match self.get().await? {
            AnyRegistry::Kube(registry) => Box::pin(registry.census(address, node)).await,
            // A file registry shows no claims and pods of other nodes, so it cannot adopt.
            AnyRegistry::File(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: format!("a file registry does not show whether {address} is in use"),
            }),
        }
    }
}
