//! The outside systems of one agent, for real or simulated, and the work that asks them: reads of
//! slow systems and errands, each bounded, none detached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use firecamp_core::agent::{Duty, Errand};
use firecamp_core::failure::{CloudFailure, CloudKind, Effect, HostFailure, RegistryFailure};
use firecamp_core::ids::{ClusterName, EniId, InstanceId, Mac, Member, NodeName, VolumeId};
use firecamp_core::outside::{Cloud, Holder, HostNet, KernelTarget, KernelView, Registry};
use firecamp_engine::{Dice, NoFile, Run, Signal, Systems};
use firecamp_host::{Change, LinkSeen, LinuxHost, Monitor, Survey};
use firecamp_kube::Census;
use firecamp_node::preflight::facts::{NodeFacts, Reading};
use firecamp_node::preflight::{CloudChecks, NodeChecks};
use firecamp_node::volumes::CloudVolumes;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cut_off::{self, Finding, Lost};
use crate::errands::kind;
use crate::source::Source;
use crate::work::News;

/// The most that one read may take; the clients' own bounds are shorter.
const READ_BOUND: Duration = Duration::from_secs(20);

/// Which implementation of each outside system an agent uses.
pub(crate) trait World: 'static {
    /// EC2 and the metadata service.
    type Cloud: Cloud + CloudChecks + CloudVolumes;
    /// The node's files.
    type Files: NodeChecks;
    /// The kernel of this node.
    type Kernel: Kernel;
    /// Where static IPs are read afresh and written.
    type Registry: Registry + Registrar;
    /// Where the agent learns which static IPs and pods concern its node.
    type Source: Source;
}

/// The kernel of this node, as an agent needs it.
pub(crate) trait Kernel: HostNet + Clone {
    /// The same for who gives way: whatever version has recorded the holder whose time is over.
    fn giving_way(self) -> Self;

    /// One complete look at everything that is ours.
    fn survey(&self) -> impl Future<Output = Result<Survey, HostFailure>>;

    /// What the kernel has of each target, in their order.
    fn views(
        &self,
        targets: &[KernelTarget],
    ) -> impl Future<Output = Vec<Result<KernelView, HostFailure>>>;

    /// The links that could be ENIs.
    fn links(&self) -> impl Future<Output = Result<Vec<LinkSeen>, HostFailure>>;

    /// Brings up the link with this MAC if it is down and bare. Says whether it did.
    fn raise(&self, mac: Mac) -> impl Future<Output = Result<bool, HostFailure>>;

    /// Takes an address out of the kernel, and leaves its holder on record. Says whether it
    /// changed anything.
    fn withhold(
        &self,
        address: Ipv4Addr,
        holder: &Holder,
    ) -> impl Future<Output = Result<bool, HostFailure>>;
}

impl Kernel for LinuxHost {
    fn giving_way(self) -> Self {
        Self::giving_way(self)
    }

    async fn survey(&self) -> Result<Survey, HostFailure> {
        Self::survey(self).await
    }

    async fn views(&self, targets: &[KernelTarget]) -> Vec<Result<KernelView, HostFailure>> {
        Self::views(self, targets).await
    }

    async fn links(&self) -> Result<Vec<LinkSeen>, HostFailure> {
        Self::links(self).await
    }

    async fn raise(&self, mac: Mac) -> Result<bool, HostFailure> {
        Self::raise(self, mac).await
    }

    async fn withhold(&self, address: Ipv4Addr, holder: &Holder) -> Result<bool, HostFailure> {
        Self::withhold(self, address, holder).await
    }
}

/// What the kernel tells of its own accord.
pub(crate) trait KernelNews {
    /// Waits for the next news. Cancelling it loses nothing.
    fn changed(&mut self) -> impl Future<Output = Result<Vec<Change>, HostFailure>>;
}

impl KernelNews for Monitor {
    async fn changed(&mut self) -> Result<Vec<Change>, HostFailure> {
        Self::changed(self).await
    }
}

/// What a registry has to tell of the whole cluster before an address is called nobody's.
pub(crate) trait Registrar {
    /// What may speak against it: quorum reads, all of them or a failure.
    fn census(
        &self,
        address: Ipv4Addr,
        node: &NodeName,
    ) -> impl Future<Output = Result<Census, RegistryFailure>>;
}

/// What an errand needs.
pub(crate) type SystemsOf<W> =
    Systems<<W as World>::Cloud, <W as World>::Kernel, <W as World>::Registry, NoFile>;

/// The outside systems.
pub(crate) struct Outside<W: World> {
    systems: Arc<SystemsOf<W>>,
    source: Arc<W::Source>,
    files: Arc<W::Files>,
}

impl<W: World> Outside<W> {
    pub(crate) fn new(
        cloud: W::Cloud,
        host: W::Kernel,
        registry: W::Registry,
        source: W::Source,
        files: W::Files,
    ) -> Self {
        let systems = Systems { cloud, host, registry, file: NoFile };
        Self { systems: Arc::new(systems), source: Arc::new(source), files: Arc::new(files) }
    }

    pub(crate) fn systems(&self) -> Arc<SystemsOf<W>> {
        Arc::clone(&self.systems)
    }

    pub(crate) fn host(&self) -> &W::Kernel {
        &self.systems.host
    }

    /// What tells of static IPs and pods.
    pub(crate) fn source(&self) -> Arc<W::Source> {
        Arc::clone(&self.source)
    }

    pub(crate) fn list(&self, known: BTreeSet<Ipv4Addr>, work: &mut JoinSet<News>) {
        let source = Arc::clone(&self.source);
        work.spawn_local(async move { News::Listed(source.look(known).await) });
    }

    pub(crate) fn identify(&self, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let read = timeout(READ_BOUND, systems.cloud.identity()).await;
            News::Identified(read.unwrap_or_else(|_elapsed| Err(late("read this instance"))))
        });
    }

    /// What the clocks said of those who have answered so far.
    pub(crate) fn clocks(&self) -> Vec<Reading> {
        self.systems.cloud.clocks()
    }

    /// One listing of the interfaces of this instance.
    pub(crate) fn interfaces(&self, instance: InstanceId, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let read = timeout(READ_BOUND, systems.cloud.interfaces(&instance)).await;
            let late = |_elapsed| Err(late("list the interfaces of this instance"));
            News::Interfaces(read.unwrap_or_else(late))
        });
    }

    /// One listing of the volumes of this instance, and one of those that its pods lack.
    pub(crate) fn attachments(
        &self,
        (instance, lacked): (InstanceId, BTreeSet<VolumeId>),
        work: &mut JoinSet<News>,
    ) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let both = async {
                let here = systems.cloud.attachments(&instance).await?;
                if lacked.is_empty() {
                    return Ok((here, Vec::new()));
                }
                Ok((here, systems.cloud.elsewhere(&instance, &lacked).await?))
            };
            let read = timeout(READ_BOUND, both).await;
            let late = |_elapsed| Err(late("list the volumes of this instance"));
            News::Attachments(read.unwrap_or_else(late))
        });
    }

    /// What a type of instances allows.
    pub(crate) fn type_limits(&self, name: String, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let read = timeout(READ_BOUND, systems.cloud.type_limits(&name)).await;
            let late = |_elapsed| Err(late("ask what this instance's type allows"));
            News::TypeLimits(read.unwrap_or_else(late))
        });
    }

    pub(crate) fn node_facts(&self, work: &mut JoinSet<News>) {
        let files = Arc::clone(&self.files);
        work.spawn_local(async move {
            let read = timeout(READ_BOUND, files.facts()).await;
            let late = |_elapsed| {
                NodeFacts::unread(&format!("read the node's files: not in {READ_BOUND:?}"))
            };
            News::Files(read.unwrap_or_else(late))
        });
    }

    pub(crate) fn raise(&self, eni: EniId, mac: Mac, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move { News::Raised(eni, systems.host.raise(mac).await) });
    }

    /// Looks into the loss of an address, and takes it out of the kernel if that follows.
    pub(crate) fn look_into(&self, lost: Lost, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move {
            let Systems { cloud, host, registry, .. } = &*systems;
            let found = cut_off::look_into(&lost, (cloud, registry)).await;
            let done = match &found {
                Finding::CutOff(_) => Some(host.withhold(lost.address, &lost.holder).await),
                Finding::Ours | Finding::Moved | Finding::Unknown => None,
            };
            News::Lost(lost, found, done)
        });
    }

    /// Fresh reads, one after the other; an address whose read fails is left out.
    pub(crate) fn look_for_claims(&self, of: BTreeSet<Ipv4Addr>, work: &mut JoinSet<News>) {
        let systems = Arc::clone(&self.systems);
        work.spawn_local(async move { News::Claimed(claimed(&systems.registry, of).await) });
    }

    /// Begins the errand of a duty.
    pub(crate) fn begin(
        &self,
        duty: Duty,
        (address, member): (Ipv4Addr, Member),
        (cluster, end): (ClusterName, CancellationToken),
        work: &mut JoinSet<News>,
    ) {
        let (systems, errand) = (Arc::clone(&self.systems), (address, kind(&duty)));
        work.spawn_local(async move {
            let Systems { cloud, host, registry, .. } = &*systems;
            let gives_way = matches!(duty, Duty::GiveWay { .. });
            let host = if gives_way { host.clone().giving_way() } else { host.clone() };
            let systems = Systems { cloud, host, registry, file: NoFile };
            let dice = Dice::default();
            let id = dice.run_id();
            let run = Run { member, pool: None, signal: Signal::Interrupt(end), dice };
            let machine = move |now| Errand::new(&duty, &cluster, id, now);
            News::Done(errand, firecamp_engine::run(machine, &systems, &run).await)
        });
    }
}

/// Whether each address has a record; one whose read fails is left out.
pub(crate) async fn claimed(
    registry: &impl Registry,
    of: BTreeSet<Ipv4Addr>,
) -> BTreeMap<Ipv4Addr, bool> {
    let mut claimed = BTreeMap::new();
    for address in of {
        match registry.static_ip(address).await {
            Ok(found) => {
                claimed.insert(address, found.is_some());
            }
            Err(why) => tracing::warn!(%address, error = %why, "A record is not known"),
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
