//! What the leader reads and changes: the cluster, EC2, and no kernel.

use std::net::Ipv4Addr;
use std::time::Duration;

use firecamp_controllers::leader::{
    AllowedZones, BoundVolume, Cluster as _, ObservedPod, PassStep, StepResult,
};
use firecamp_core::failure::{CloudKind, HostFailure, HostKind, RegistryFailure};
use firecamp_core::ids::{ClusterName, Member, NodeName, SubnetId};
use firecamp_core::managed_interface::{DescribedInterface, InterfaceFilter};
use firecamp_core::node_identity::NodeIdentity;
use firecamp_core::ports::{
    Cloud, CloudInterfaces, Holder, HostNet, KernelTarget, KernelView, Owner, SocketUse,
};
use firecamp_kube::KubeCluster;
use firecamp_run::connect::AnyRegistry;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::operations::Attempt;

/// Bound of one read of EC2 or the metadata service.
const READ_BOUND: Duration = Duration::from_secs(10);
/// Bound of a list of all interfaces of the cluster; the client's own is shorter.
const LIST_BOUND: Duration = Duration::from_secs(20);

/// The names of the leader, and the systems outside, which consecutive steps share.
pub(crate) struct RemoteSystems<C> {
    pub(super) node: NodeName,
    pub(super) name: ClusterName,
    /// The DNS zones of names; none if no names are kept.
    pub(super) zones: Option<AllowedZones>,
    pub(super) cluster: KubeCluster,
    pub(super) cloud: C,
    pub(super) registry: AnyRegistry,
}

impl<C: Cloud + CloudInterfaces> RemoteSystems<C> {
    pub(crate) fn new(
        (node, name, zones): (NodeName, ClusterName, Option<AllowedZones>),
        cluster: KubeCluster,
        (cloud, registry): (C, AnyRegistry),
    ) -> Self {
        Self { node, name, zones, cluster, cloud, registry }
    }

    /// Performs a step of a pass. At the end of the term a read ends at once, and an operation
    /// between two of its own steps.
    pub(super) async fn perform(&self, step: PassStep, term: &CancellationToken) -> StepResult {
        match step {
            PassStep::Identify => {
                let read = term.run_until_cancelled(self.identity()).await;
                StepResult::Identified(read.flatten())
            }
            PassStep::ListInterfaces => {
                let read = term.run_until_cancelled(self.interfaces()).await;
                StepResult::InterfacesListed(read.flatten())
            }
            PassStep::ReadOwner(address, subnet) => {
                let read = term.run_until_cancelled(self.owner(address, &subnet)).await;
                StepResult::OwnerRead(read.flatten())
            }
            PassStep::ReadPod(member) => {
                let read = term.run_until_cancelled(self.pod(&member)).await;
                StepResult::PodRead(read.flatten())
            }
            PassStep::QueryInterface(query) => {
                let read = term.run_until_cancelled(self.query_interface(&query)).await;
                StepResult::InterfaceQueried(read.flatten())
            }
            PassStep::ReadVolumes(member, claims) => {
                let read = term.run_until_cancelled(self.volumes(&member, &claims)).await;
                StepResult::VolumesRead(read.flatten())
            }
            PassStep::Perform(operation, facts) => {
                StepResult::Performed(Attempt::new(self, &facts, term).perform(&operation).await)
            }
        }
    }

    async fn identity(&self) -> Option<NodeIdentity> {
        timeout(READ_BOUND, self.cloud.identity()).await.ok()?.ok()
    }

    async fn interfaces(&self) -> Option<Result<Vec<DescribedInterface>, CloudKind>> {
        let filter = InterfaceFilter::Cluster(self.name.clone());
        match timeout(LIST_BOUND, self.cloud.describe_interfaces(&filter)).await {
            Ok(Ok(listed)) => Some(Ok(listed)),
            Ok(Err(why)) => {
                tracing::warn!(error = %why, "failed to list the interfaces of the cluster in EC2");
                Some(Err(why.kind))
            }
            Err(_elapsed) => {
                tracing::warn!("list of the interfaces of the cluster in EC2 timed out");
                None
            }
        }
    }

    async fn owner(
        &self,
        address: Ipv4Addr,
        subnet: &SubnetId,
    ) -> Option<Result<Owner, CloudKind>> {
        match timeout(READ_BOUND, self.cloud.owner(address, subnet)).await {
            Ok(Ok(owner)) => Some(Ok(owner)),
            Ok(Err(why)) => {
                tracing::warn!(%address, error = %why, "failed to look up owner in EC2");
                Some(Err(why.kind))
            }
            Err(_elapsed) => {
                tracing::warn!(%address, "owner lookup in EC2 timed out");
                None
            }
        }
    }

    async fn pod(&self, member: &Member) -> Option<ObservedPod> {
        let read = self.cluster.pod(member).await;
        read.inspect_err(|why| tracing::warn!(%member, error = %why, "failed to read pod")).ok()
    }

    async fn volumes(&self, member: &Member, claims: &[String]) -> Option<Vec<BoundVolume>> {
        let read = self.cluster.volumes(member, claims).await;
        let failed = |why: &RegistryFailure| {
            tracing::warn!(%member, error = %why, "failed to read volumes of gated pod");
        };
        read.inspect_err(failed).ok()
    }
}

/// The kernel of another node: every call fails.
#[derive(Debug, Clone, Copy)]
pub(super) struct NoKernel;

impl NoKernel {
    fn refuse<T>() -> Result<T, HostFailure> {
        let detail = "the leader cannot access the kernel of another node".to_owned();
        Err(HostFailure { kind: HostKind::Refused, detail })
    }
}

impl HostNet for NoKernel {
    async fn add_address(&self, _: &KernelTarget, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn add_routing(&self, _: &KernelTarget, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn note_assign(&self, _: Ipv4Addr) -> Result<(), HostFailure> {
        Self::refuse()
    }

    async fn observe(&self, _: &KernelTarget) -> Result<KernelView, HostFailure> {
        Self::refuse()
    }

    async fn remove_address(&self, _: Ipv4Addr, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn remove_routing(&self, _: Ipv4Addr, _: &Holder) -> Result<bool, HostFailure> {
        Self::refuse()
    }

    async fn sockets(&self, _: Ipv4Addr) -> Result<SocketUse, HostFailure> {
        Self::refuse()
    }
}
