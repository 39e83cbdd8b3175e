//! The API of the registry's cluster, from the moment on at which it can be found.

use firecamp_controllers::publish::{Board, Event, Learned, Reported, Subject};
use firecamp_core::failure::{Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{NodeName, Version};
use firecamp_kube::{KubeBoard, KubeRegistry, Timeouts, VolumeLooks};
use firecamp_node::volumes::seen::ClusterView;
use firecamp_registry::api::{Condition, NodeAttachments};
use firecamp_run::connect::AnyRegistry;
use tokio::sync::OnceCell;

use crate::late::LateRegistry;
use crate::volumes::Cluster;

/// What is written to and read of the cluster beside its records.
#[derive(Debug)]
pub(crate) struct LateBoard {
    registry: LateRegistry,
    node: NodeName,
    board: OnceCell<KubeBoard>,
    volumes: OnceCell<VolumeLooks>,
}

impl LateBoard {
    /// Of a registry that is a cluster's.
    pub(crate) fn new(registry: LateRegistry, node: NodeName) -> Self {
        Self { registry, node, board: OnceCell::new(), volumes: OnceCell::new() }
    }

    async fn cluster(&self) -> Result<&KubeRegistry, RegistryFailure> {
        match self.registry.get().await? {
            AnyRegistry::Kube(registry) => Ok(registry),
            AnyRegistry::File(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: "publish: the registry is files".to_owned(),
            }),
        }
    }

    async fn board(&self) -> Result<&KubeBoard, RegistryFailure> {
        let open = async || Ok(self.cluster().await?.board(self.node.clone(), Timeouts::default()));
        self.board.get_or_try_init(open).await
    }
}

impl Cluster for LateBoard {
    async fn look(&self) -> Result<ClusterView, RegistryFailure> {
        let open = async || Ok(self.cluster().await?.volume_looks(self.node.clone()));
        self.volumes.get_or_try_init(open).await?.look().await
    }
}

impl Board for LateBoard {
    async fn learn(&self, node: &NodeName) -> Result<Learned, RegistryFailure> {
        self.board().await?.learn(node).await
    }

    async fn create_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        self.board().await?.create_attachments(object).await
    }

    async fn replace_attachments(
        &self,
        object: &NodeAttachments,
    ) -> Result<Version, RegistryFailure> {
        self.board().await?.replace_attachments(object).await
    }

    async fn reported(&self, subject: &Subject) -> Result<Option<Reported>, RegistryFailure> {
        self.board().await?.reported(subject).await
    }

    async fn replace_conditions(
        &self,
        subject: &Subject,
        version: &Version,
        conditions: &[Condition],
    ) -> Result<(), RegistryFailure> {
        self.board().await?.replace_conditions(subject, version, conditions).await
    }

    async fn set_capacity(&self, node: &NodeName, capacity: u32) -> Result<(), RegistryFailure> {
        self.board().await?.set_capacity(node, capacity).await
    }

    async fn post(&self, event: &Event) -> Result<(), RegistryFailure> {
        self.board().await?.post(event).await
    }
}
