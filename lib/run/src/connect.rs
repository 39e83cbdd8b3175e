//! Opens the registry of a URL: files in a directory, or the API of a cluster.
//!
//! [`OpenRegistry`] is an enum, not a trait object, because the methods of [`Registry`] are async.

mod write_event;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{Member, PoolName, Version};
use firecamp_core::ports::{AskingPod, PodAuthority, PodView, Registry, Review};
use firecamp_core::record::{MemberRecords, StaticIp, Stored, Write};
use firecamp_kube::{KubeRegistry, Source};
use firecamp_registry::{FileRegistry, RegistryUrl};
use tokio::sync::OnceCell;

pub use write_event::Reporter;

/// The registry of a URL, which is opened on first use: an agent may start before the directory is
/// mounted or the credentials exist. Clones share one connection.
#[derive(Debug, Clone)]
pub struct AnyRegistry {
    url: RegistryUrl,
    opened: Arc<OnceCell<OpenRegistry>>,
}

/// An open registry of either kind.
#[derive(Debug)]
pub enum OpenRegistry {
    /// Files in a directory, for one machine without a cluster.
    File(FileRegistry),
    /// The Kubernetes API.
    Kube(KubeRegistry),
}

/// Timeout of a request. It is shorter than the 5 s of the runner, because the error of the request
/// itself names the request.
const CALL: Duration = Duration::from_secs(4);

/// Opens the registry. Sends no request to a cluster yet; a directory must exist.
pub async fn open(url: &RegistryUrl) -> Result<AnyRegistry, RegistryFailure> {
    let registry = AnyRegistry::new(url.clone());
    registry.get().await?;
    Ok(registry)
}

impl AnyRegistry {
    /// The registry of this URL, which is not open yet.
    pub fn new(url: RegistryUrl) -> Self {
        Self { url, opened: Arc::default() }
    }

    /// The open registry. While it cannot be opened, each call tries again.
    pub async fn get(&self) -> Result<&OpenRegistry, RegistryFailure> {
        self.opened.get_or_try_init(|| OpenRegistry::open(&self.url)).await
    }
}

impl From<KubeRegistry> for AnyRegistry {
    fn from(registry: KubeRegistry) -> Self {
        let opened = OnceCell::new_with(Some(OpenRegistry::Kube(registry)));
        Self { url: RegistryUrl::InCluster, opened: Arc::new(opened) }
    }
}

impl OpenRegistry {
    async fn open(url: &RegistryUrl) -> Result<Self, RegistryFailure> {
        let source = match url {
            RegistryUrl::File(directory) => {
                let timeouts = firecamp_registry::Timeouts::default();
                return FileRegistry::open(directory, timeouts).map(Self::File);
            }
            RegistryUrl::InCluster => Source::InCluster,
            RegistryUrl::Kubeconfig(path) => Source::Kubeconfig(path.clone()),
        };
        let timeouts = firecamp_kube::Timeouts { call: CALL, ..firecamp_kube::Timeouts::default() };
        source.connect(timeouts).await.map(Self::Kube)
    }
}

// The futures of clients are large; boxing keeps them out of the futures of their callers.
impl Registry for AnyRegistry {
    async fn member(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<MemberRecords, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(registry) => registry.member(member, pool).await,
            OpenRegistry::Kube(registry) => Box::pin(registry.member(member, pool)).await,
        }
    }

    async fn static_ip(
        &self,
        address: Ipv4Addr,
    ) -> Result<Option<Stored<StaticIp>>, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(registry) => registry.static_ip(address).await,
            OpenRegistry::Kube(registry) => Box::pin(registry.static_ip(address)).await,
        }
    }

    async fn pod(&self, member: &Member) -> Result<PodView, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(registry) => registry.pod(member).await,
            OpenRegistry::Kube(registry) => Box::pin(registry.pod(member)).await,
        }
    }

    async fn allocated(&self, pool: &PoolName) -> Result<BTreeSet<Ipv4Addr>, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(registry) => registry.allocated(pool).await,
            OpenRegistry::Kube(registry) => Box::pin(registry.allocated(pool)).await,
        }
    }

    async fn write(&self, write: &Write) -> Result<Version, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(registry) => registry.write(write).await,
            OpenRegistry::Kube(registry) => Box::pin(registry.write(write)).await,
        }
    }
}

impl PodAuthority for AnyRegistry {
    async fn review(&self, token: &str) -> Result<Review, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(_) => Err(without_pods()),
            OpenRegistry::Kube(registry) => Box::pin(registry.review(token)).await,
        }
    }

    async fn asking_pod(&self, member: &Member) -> Result<Option<AskingPod>, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(_) => Err(without_pods()),
            OpenRegistry::Kube(registry) => Box::pin(registry.asking_pod(member)).await,
        }
    }

    async fn approved_pool(
        &self,
        member: &Member,
        pool: Option<&PoolName>,
    ) -> Result<Result<PoolName, String>, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::File(_) => Err(without_pods()),
            OpenRegistry::Kube(registry) => Box::pin(registry.approved_pool(member, pool)).await,
        }
    }
}

fn without_pods() -> RegistryFailure {
    RegistryFailure {
        kind: RegistryKind::Refused,
        effect: Effect::None,
        detail: "a file registry knows no pods and no tokens".to_owned(),
    }
}
