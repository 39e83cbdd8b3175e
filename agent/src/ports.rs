//! The ports of an agent to external systems, real or simulated, and the tasks that use them: reads
//! and operations, each bounded, none detached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use firecamp_controllers::node::{
    AdoptionResult, AgentIdentity, Event, Finding, InterfaceStep, Listing, LostAddress,
    OperationKind, QueryResult,
};
use firecamp_core::agent::{Operation, Orphan};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, RegistryFailure, RegistryKind};
use firecamp_core::ids::{
    ClusterName, InstanceId, Mac, Member, NodeName, PodUid, SubnetId, VolumeId,
};
use firecamp_core::node_identity::Eni;
use firecamp_core::ports::{Cloud, CloudInterfaces, Registry};
use firecamp_core::time::Moment;
use firecamp_engine::{NoFile, Systems};
use firecamp_kube::Census;
use firecamp_node::preflight::facts::NodeFacts;
use firecamp_node::preflight::{CloudChecks, NodeChecks};
use firecamp_node::volumes::CloudVolumes;
use firecamp_run::connect::{AnyRegistry, OpenRegistry};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::adopt::attempt;
use crate::execute::execute;
use crate::interfaces::{InterfaceRecords, perform};
use crate::kernel::{Kernel, PodKernel};
use crate::observed_cloud::ObservedCloud;
use crate::partition;
use crate::source::Source;
use crate::status::{Call, Ec2Calls};

/// Bound of one read; the clients' own timeouts are shorter.
const READ_BOUND: Duration = Duration::from_secs(20);
/// Bound of one attempt to adopt; its reads have shorter timeouts.
const ATTEMPT_BOUND: Duration = Duration::from_mins(1);

/// The implementation of each external system that an agent uses.
pub(crate) trait Environment: 'static {
    /// EC2 and the metadata service.
    type Cloud: Cloud + CloudChecks + CloudInterfaces + CloudVolumes;
    /// The node's files.
    type Files: NodeChecks;
    /// The kernel of this node.
    type Kernel: Kernel;
    /// Fresh reads and writes of static IPs.
    type Registry: Registry + Registrar + InterfaceRecords;
    /// The static IPs and pods of the node.
    type Source: Source;
}

/// Reads of the whole cluster that the adoption of an address requires.
pub(crate) trait Registrar {
    /// Everything that could forbid the adoption, by quorum reads. Fails if one of them fails.
    fn census(
        &self,
        address: Ipv4Addr,
        node: &NodeName,
    ) -> impl Future<Output = Result<Census, RegistryFailure>>;
}

impl Registrar for AnyRegistry {
    async fn census(&self, address: Ipv4Addr, node: &NodeName) -> Result<Census, RegistryFailure> {
        match self.get().await? {
            OpenRegistry::Kube(registry) => Box::pin(registry.census(address, node)).await,
            // A file registry shows no claims and pods of other nodes, so it cannot adopt.
            OpenRegistry::File(_) => Err(RegistryFailure {
                kind: RegistryKind::Refused,
                effect: Effect::None,
                detail: format!("a file registry does not show whether {address} is in use"),
            }),
        }
    }
}

/// A cloud whose requests to EC2 are metrics.
pub(crate) type MeteredCloud<C> = ObservedCloud<C, Ec2Calls>;

/// The systems of an operation.
pub(crate) type SystemsOf<W> = Systems<
    MeteredCloud<<W as Environment>::Cloud>,
    <W as Environment>::Kernel,
    <W as Environment>::Registry,
    NoFile,
>;

/// Before anything is restored, the kernel learns which of the pods that hold an address have a
/// network of their own.
async fn note_pods(host: &impl PodKernel, listing: &Listing) {
    let Some(pods) = &listing.local_pods else { return };
    let holders = listing.records.values().filter_map(|record| record.attachment.as_ref());
    let holders: BTreeSet<&PodUid> = holders.map(|held| &held.pod).collect();
    let own = pods.values().filter(|one| one.own_network && holders.contains(&one.pod));
    let own = own.map(|one| one.pod.clone()).collect();
    let present = pods.values().map(|one| one.pod.clone()).collect();
    if let Err(why) = host.note_pods(&own, &present).await {
        tracing::warn!(error = %why, "failed to record which pods have a network of their own");
    }
}

/// The external systems of an agent.
pub(crate) struct Ports<W: Environment> {
    systems: Arc<SystemsOf<W>>,
    source: Arc<W::Source>,
    files: Arc<W::Files>,
}

impl<W: Environment> Ports<W> {
    pub(crate) fn new(
        cloud: MeteredCloud<W::Cloud>,
        host: W::Kernel,
        registry: W::Registry,
        source: W::Source,
        files: W::Files,
    ) -> Self {
        let systems = Systems { cloud, host, registry, file: NoFile };
        Self { systems: Arc::new(systems), source: Arc::new(source), files: Arc::new(files) }
    }

    pub(crate) fn host(&self) -> &W::Kernel {
        &self.systems.host
    }

    /// The systems of operations.
    pub(crate) fn systems(&self) -> Arc<SystemsOf<W>> {
        Arc::clone(&self.systems)
    }

    /// The source of static IPs and pods.
    pub(crate) fn source(&self) -> Arc<W::Source> {
        Arc::clone(&self.source)
    }

    pub(crate) fn list(&self, known: BTreeSet<Ipv4Addr>, tasks: &mut JoinSet<Event>) {
        let (source, systems) = (Arc::clone(&self.source), Arc::clone(&self.systems));
        tasks.spawn_local(async move {
            let listed = source.list(known).await;
            if let Ok(listing) = &listed {
                note_pods(&systems.host, listing).await;
            }
            Event::Listed(listed)
        });
    }

    /// Reads the metadata service; with `unused` only what changes of the other interfaces.
    pub(crate) fn identify(&self, unused: Option<BTreeSet<Mac>>, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let cloud = &systems.cloud;
            let read = async {
                match &unused {
                    Some(unused) => cloud.poll_identity(unused).await,
                    None => cloud.identity().await,
                }
            };
            let read = timeout(READ_BOUND, read).await;
            Event::Identified(read.unwrap_or_else(|_elapsed| Err(late("read this instance"))))
        });
    }

    /// Lists the interfaces of this instance.
    pub(crate) fn interfaces(&self, instance: InstanceId, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let cloud = &systems.cloud;
            let request = cloud.inner.interfaces(&instance);
            let request = cloud.observe(Call::DescribeNetworkInterfaces, request);
            let read = timeout(READ_BOUND, request).await;
            let late = |_elapsed| Err(late("list the interfaces of this instance"));
            let result = QueryResult::Interfaces(read.unwrap_or_else(late));
            Event::Queried(result, cloud.inner.clocks())
        });
    }

    /// Lists the volumes of this instance, and those that its pods lack.
    pub(crate) fn attachments(
        &self,
        (instance, lacked): (InstanceId, BTreeSet<VolumeId>),
        tasks: &mut JoinSet<Event>,
    ) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let cloud = &systems.cloud;
            let both = async {
                let request = cloud.inner.attachments(&instance);
                let here = cloud.observe(Call::DescribeVolumes, request).await?;
                if lacked.is_empty() {
                    return Ok((here, Vec::new()));
                }
                let request = cloud.inner.elsewhere(&instance, &lacked);
                Ok((here, cloud.observe(Call::DescribeVolumes, request).await?))
            };
            let read = timeout(READ_BOUND, both).await;
            let late = |_elapsed| Err(late("list the volumes of this instance"));
            let result = QueryResult::Volumes(read.unwrap_or_else(late));
            Event::Queried(result, cloud.inner.clocks())
        });
    }

    /// Reads the limits of an instance type.
    pub(crate) fn type_limits(&self, name: String, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let cloud = &systems.cloud;
            let request =
                cloud.observe(Call::DescribeInstanceTypes, cloud.inner.type_limits(&name));
            let read = timeout(READ_BOUND, request).await;
            let late = |_elapsed| Err(late("read the limits of the instance type"));
            let result = QueryResult::TypeLimits(read.unwrap_or_else(late));
            Event::Queried(result, cloud.inner.clocks())
        });
    }

    /// Reads the CIDR reservations of the subnets, all or none.
    pub(crate) fn reservations(&self, subnets: BTreeSet<SubnetId>, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let cloud = &systems.cloud;
            let all = async {
                let mut found = BTreeMap::new();
                for subnet in subnets {
                    let request = cloud.inner.reservations(&subnet);
                    let read = cloud.observe(Call::GetSubnetCidrReservations, request).await?;
                    found.insert(subnet, read);
                }
                Ok(found)
            };
            let read = timeout(READ_BOUND, all).await;
            let late = |_elapsed| Err(late("read the CIDR reservations of subnets"));
            let result = QueryResult::Reservations(read.unwrap_or_else(late));
            Event::Queried(result, cloud.inner.clocks())
        });
    }

    pub(crate) fn node_facts(&self, tasks: &mut JoinSet<Event>) {
        let files = Arc::clone(&self.files);
        tasks.spawn_local(async move {
            let read = timeout(READ_BOUND, files.facts()).await;
            let late = |_elapsed| {
                NodeFacts::unread(&format!(
                    "read the node's files: no result within {READ_BOUND:?}"
                ))
            };
            Event::Files(read.unwrap_or_else(late))
        });
    }

    pub(crate) fn raise(&self, eni: Eni, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let Eni { id, mac, primary_address, .. } = eni;
            Event::Raised(id, systems.host.raise(mac, primary_address).await)
        });
    }

    /// Performs a step of an interface that FireCamp makes.
    pub(crate) fn interface_step(
        &self,
        node: NodeName,
        step: InterfaceStep,
        tasks: &mut JoinSet<Event>,
    ) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let Systems { cloud, registry, .. } = &*systems;
            Event::InterfaceStepEnded(perform(step, &node, cloud, registry).await)
        });
    }

    /// Investigates a misplaced address, and removes it from the kernel if the node is partitioned.
    pub(crate) fn investigate(&self, lost: LostAddress, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let Systems { cloud, host, registry, .. } = &*systems;
            let found = partition::investigate(&lost, (cloud, registry)).await;
            let done = match &found {
                Finding::Partitioned(_) => Some(host.withhold(lost.address, &lost.holder).await),
                Finding::Ours | Finding::Moved | Finding::Unknown => None,
            };
            Event::LossInvestigated(lost, found, done)
        });
    }

    /// Reads whether the addresses have records; leaves out an address whose read fails.
    pub(crate) fn query_claims(&self, of: BTreeSet<Ipv4Addr>, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move { Event::Claimed(claimed(&systems.registry, of).await) });
    }

    /// Reads whether the orphans of a query of EC2 that started at `begun` have records.
    pub(crate) fn check_orphans(
        &self,
        found: BTreeSet<Orphan>,
        begun: Moment,
        tasks: &mut JoinSet<Event>,
    ) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let addresses = found.iter().map(|orphan| orphan.address).collect();
            let recorded = claimed(&systems.registry, addresses).await;
            Event::Orphans(found, recorded, begun)
        });
    }

    /// Attempts to adopt an orphan.
    pub(crate) fn adopt(&self, orphan: Orphan, own: AgentIdentity, tasks: &mut JoinSet<Event>) {
        let systems = Arc::clone(&self.systems);
        tasks.spawn_local(async move {
            let tried = timeout(ATTEMPT_BOUND, attempt(orphan.clone(), own, &systems)).await;
            let late =
                |_elapsed| AdoptionResult::Failed(format!("no result within {ATTEMPT_BOUND:?}"));
            Event::AdoptionTried(orphan, tried.unwrap_or_else(late))
        });
    }

    /// Starts an operation.
    pub(crate) fn begin(
        &self,
        operation: Operation,
        (address, member): (Ipv4Addr, Member),
        (cluster, end): (ClusterName, CancellationToken),
        tasks: &mut JoinSet<Event>,
    ) {
        let (systems, kind) = (Arc::clone(&self.systems), OperationKind::of(&operation));
        tasks.spawn_local(async move {
            let of = (address, member);
            let outcome = execute(&operation, of, (&cluster, end), &systems).await;
            Event::OperationEnded(address, kind, outcome)
        });
    }
}

/// Whether each address has a record; leaves out an address whose read fails.
async fn claimed(registry: &impl Registry, of: BTreeSet<Ipv4Addr>) -> BTreeMap<Ipv4Addr, bool> {
    let mut claimed = BTreeMap::new();
    for address in of {
        match registry.static_ip(address).await {
            Ok(found) => {
                claimed.insert(address, found.is_some());
            }
            Err(why) => tracing::warn!(%address, error = %why, "failed to read StaticIP"),
        }
    }
    claimed
}

fn late(what: &str) -> CloudFailure {
    CloudFailure {
        kind: CloudKind::Transient,
        effect: Effect::None,
        detail: format!("{what}: no answer within {READ_BOUND:?}"),
    }
}
