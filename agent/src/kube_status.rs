//! The cluster of an agent, as its publisher and its volumes use it. It is opened on first use.

use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::NodeName;
use firecamp_kube::{KubeRegistry, KubeStatusWriter, Timeouts, VolumeReader};
use firecamp_node::volumes::observation::ClusterView;
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use tokio::sync::OnceCell;

use crate::publish::OpenStatusWriter;
use crate::volumes::Cluster;

/// Writes status and reads volume objects of the cluster.
#[derive(Debug)]
pub(crate) struct KubeStatus {
    registry: AnyRegistry,
    node: NodeName,
    /// It remembers objects from one read to the next.
    volumes: OnceCell<VolumeReader>,
}

impl KubeStatus {
    /// For a registry in Kubernetes.
    pub(crate) fn new(registry: AnyRegistry, node: NodeName) -> Self {
        Self { registry, node, volumes: OnceCell::new() }
    }

    async fn cluster(&self) -> Result<&KubeRegistry, RegistryFailure> {
        match self.registry.get().await? {
            OpenRegistry::Kube(registry) => Ok(registry),
            OpenRegistry::File(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: "failed to publish: a file registry has no status".to_owned(),
            }),
        }
    }
}

impl OpenStatusWriter for KubeStatus {
    type Writer = KubeStatusWriter;

    async fn open(&self) -> Result<KubeStatusWriter, RegistryFailure> {
        Ok(self.cluster().await?.status_writer(self.node.clone(), Timeouts::default()))
    }
}

impl Cluster for KubeStatus {
    async fn view(&self) -> Result<ClusterView, RegistryFailure> {
        let open = async || Ok(self.cluster().await?.volume_reader(self.node.clone()));
        self.volumes.get_or_try_init(open).await?.read().await
    }
}
