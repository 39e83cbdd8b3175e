//! A status writer that connects to the registry's cluster on first use.

use firecamp_controllers::publish::{Event, FetchedNode, ObservedStatus, StatusWriter, Subject};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_kube::{KubeRegistry, KubeStatusWriter, Timeouts, VolumeReader};
use firecamp_node::volumes::observation::ClusterView;
use firecamp_registry::api::{Condition, NodeAttachments};
use firecamp_run::connect::AnyRegistry;
use tokio::sync::OnceCell;

use crate::lazy_registry::LazyRegistry;
use crate::volumes::Cluster;

/// Writes status and reads volume objects of the cluster.
#[derive(Debug)]
pub(crate) struct LazyStatusWriter {
    registry: LazyRegistry,
    node: NodeName,
    status_writer: OnceCell<KubeStatusWriter>,
    volumes: OnceCell<VolumeReader>,
}

impl LazyStatusWriter {
    /// For a registry in Kubernetes.
    pub(crate) fn new(registry: LazyRegistry, node: NodeName) -> Self {
        Self { registry, node, status_writer: OnceCell::new(), volumes: OnceCell::new() }
    }

    async fn cluster(&self) -> Result<&KubeRegistry, RegistryFailure> {
        match self.registry.get().await? {
            AnyRegistry::Kube(registry) => Ok(registry),
            AnyRegistry::File(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: "failed to publish: a file registry has no status".to_owned(),
            }),
        }
    }

    async fn status_writer(&self) -> Result<&KubeStatusWriter, RegistryFailure> {
        let open = async || {
            Ok(self.cluster().await?.status_writer(self.node.clone(), Timeouts::default()))
        };
        self.status_writer.get_or_try_init(open).await
    }
}

impl Cluster for LazyStatusWriter {
    async fn view(&self) -> Result<ClusterView, RegistryFailure> {
        let open = async || Ok(self.cluster().await?.volume_reader(self.node.clone()));
        self.volumes.get_or_try_init(open).await?.read().await
    }
}

impl StatusWriter for LazyStatusWriter {
    async fn get_node(&self, node: &NodeName) -> Result<FetchedNode, RegistryFailure> {
        self.status_writer().await?.get_node(node).await
    }

    async fn create_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        self.status_writer().await?.create_attachments(object).await
    }

    async fn replace_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        self.status_writer().await?.replace_attachments(object).await
    }

    async fn observed_status(
        &self,
        subject: &Subject,
    ) -> Result<Option<ObservedStatus>, RegistryFailure> {
        self.status_writer().await?.observed_status(subject).await
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        self.status_writer().await?.replace_conditions(subject, version, conditions).await
    }

    async fn set_capacity(&self, node: &NodeName, capacity: u32) -> Result<(), RegistryFailure> {
        self.status_writer().await?.set_capacity(node, capacity).await
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.status_writer().await?.post(event).await
    }
}
