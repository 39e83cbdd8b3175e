//! The agent of a node: the outside of [`NodeController`], which makes all decisions.

use std::sync::Arc;
use std::time::Duration;

use firecamp_controllers::node::{Effect, Event, NodeController, QueryResult, Task, Tick};
use firecamp_core::choose_interface::EniRule;
use firecamp_core::failure::HostFailure;
use firecamp_core::ids::{ClusterName, NodeName};
use firecamp_core::ports::KernelTarget;
use firecamp_engine::Rng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent_files::AgentFiles;
use crate::kernel::{Kernel, KernelEvents};
use crate::ports::{Environment, Ports};
use crate::publish::{LeaseRead, SharedStatus};
use crate::report::report;
use crate::runner::{self, Driver};
use crate::source::Source;
use crate::status::{Status, System};

/// The agent of a node.
pub(crate) struct Agent<'a, W: Environment> {
    controller: NodeController,
    node: NodeName,
    cluster: ClusterName,
    ports: Ports<W>,
    files: AgentFiles,
    status: &'a Status,
    shared_status: &'a SharedStatus,
}

impl<'a, W: Environment> Agent<'a, W> {
    pub(crate) fn new(
        (node, cluster, rule): (NodeName, ClusterName, EniRule),
        ports: Ports<W>,
        files: AgentFiles,
        (status, shared_status): (&'a Status, &'a SharedStatus),
    ) -> Self {
        let (last, random) = (files.last_snapshot(), Rng::default().part());
        let controller = NodeController::new(node.clone(), cluster.clone(), rule, last, random);
        Self { controller, node, cluster, ports, files, status, shared_status }
    }

    /// Runs until `end` is cancelled. Fails if the netlink monitor fails. Operations stop between
    /// two steps; reads are cancelled.
    pub(crate) async fn run(
        self,
        kernel: impl KernelEvents,
        end: &CancellationToken,
    ) -> Result<(), HostFailure> {
        let Self { controller, node, cluster, ports, files, status, shared_status } = self;
        let source = ports.source();
        let followed = Arc::clone(&source);
        let outside =
            Outside { kernel, source, node, cluster, ports, files, status, shared_status, end };
        let run = runner::run(controller, outside, end);
        let ((), ended) = tokio::join!(Box::pin(followed.follow(end)), Box::pin(run));
        ended
    }
}

/// The outside of the controller.
struct Outside<'a, W: Environment, K> {
    kernel: K,
    source: Arc<W::Source>,
    node: NodeName,
    cluster: ClusterName,
    ports: Ports<W>,
    files: AgentFiles,
    status: &'a Status,
    shared_status: &'a SharedStatus,
    end: &'a CancellationToken,
}

impl<W: Environment, K: KernelEvents> Driver<NodeController> for Outside<'_, W, K> {
    type Failure = HostFailure;

    async fn changed(&mut self) -> Result<Event, HostFailure> {
        tokio::select! {
            changes = self.kernel.changed() => changes.map(Event::KernelChanged),
            () = self.source.changed() => Ok(Event::RegistryChanged),
        }
    }

    /// What other parts of the agent report comes first; the tick follows at once.
    fn tick(&mut self) -> Event {
        if let Some(LeaseRead(read)) = self.shared_status.take_lease_read() {
            return Event::LeaseRead(read);
        }
        if let Some(listens) = self.shared_status.take_endpoint() {
            return Event::Endpoint(listens);
        }
        Event::Tick(Tick {
            random: Rng::default().part(),
            volumes: self.shared_status.recheck_volumes(),
            offered_volumes: self.shared_status.offered_volumes(),
        })
    }

    async fn perform(&mut self, effect: Effect, tasks: &mut JoinSet<Event>) -> Option<Event> {
        match effect {
            Effect::ReadKernel { links } => return Some(self.read_kernel(links).await),
            Effect::ViewKernel(targets) => return Some(self.view_kernel(targets).await),
            Effect::Start(task) => self.start(task, tasks),
            Effect::WriteSnapshot(snapshot) => self.files.write(snapshot),
            Effect::IdentifyCluster(uid) => self.files.identify_cluster(&uid),
            Effect::ListEnis { verdicts, complete, vpc_cni, read } => {
                self.files.exclude(&verdicts, complete);
                self.files.allow(&verdicts, vpc_cni);
                if read {
                    self.shared_status.set_node_read();
                }
            }
            Effect::AvoidEnis(avoided) => self.files.avoid(&avoided),
            Effect::ObserveVolumes(view) => self.shared_status.set_cloud_view(view),
            Effect::Publish(facts) => self.shared_status.report(facts),
            Effect::Notify(notice) => self.shared_status.notice(notice),
            Effect::Report(what) => report(what, self.status),
        }
        None
    }

    fn task_ended(&self, event: &Event) {
        match event {
            Event::Listed(read) => self.status.reads.ended(System::Registry, read),
            Event::Identified(read) => self.status.reads.ended(System::Metadata, read),
            Event::Queried(result, clocks) => {
                match result {
                    QueryResult::Interfaces(read) => self.status.reads.ended(System::Ec2, read),
                    QueryResult::Volumes(read) => self.status.reads.ended(System::Ec2Volumes, read),
                    QueryResult::TypeLimits(read) => {
                        self.status.reads.ended(System::Ec2Types, read);
                    }
                    QueryResult::Reservations(read) => {
                        self.status.reads.ended(System::Ec2Reservations, read);
                    }
                }
                self.status.preflight.clocks(clocks);
            }
            Event::Tick(_)
            | Event::KernelChanged(_)
            | Event::RegistryChanged
            | Event::LeaseRead(_)
            | Event::KernelRead(..)
            | Event::KernelViewed(_)
            | Event::Files(_)
            | Event::Endpoint(_)
            | Event::Raised(..)
            | Event::Claimed(_)
            | Event::Orphans(..)
            | Event::AdoptionTried(..)
            | Event::LossInvestigated(..)
            | Event::InterfaceStepEnded(_)
            | Event::OperationEnded(..) => {}
        }
    }

    fn handled(&self, took: Duration) {
        self.status.reads.registry_synced.set(i64::from(self.source.is_synced()));
        self.status.health.iteration_completed(took);
    }
}

impl<W: Environment, K> Outside<'_, W, K> {
    /// Local reads take milliseconds and have timeouts.
    async fn read_kernel(&self, links: bool) -> Event {
        self.status.reads.started(System::Kernel);
        let snapshot = self.ports.host().kernel_snapshot().await;
        self.status.reads.ended(System::Kernel, &snapshot);
        let Ok(snapshot) = snapshot else { return Event::KernelRead(None, None) };
        if !links {
            return Event::KernelRead(Some(snapshot), None);
        }
        let links = self.ports.host().links().await;
        self.status.reads.ended(System::Kernel, &links);
        Event::KernelRead(Some(snapshot), links.ok())
    }

    async fn view_kernel(&self, targets: Vec<KernelTarget>) -> Event {
        let views = self.ports.host().views(&targets).await;
        let read = |view| {
            self.status.reads.ended(System::Kernel, &view);
            view.ok()
        };
        Event::KernelViewed(targets.into_iter().zip(views.into_iter().map(read)).collect())
    }

    fn start(&self, task: Task, tasks: &mut JoinSet<Event>) {
        let ports = &self.ports;
        match task {
            Task::List(known) => {
                self.status.reads.started(System::Registry);
                ports.list(known, tasks);
            }
            Task::Identify(unused) => {
                self.status.reads.started(System::Metadata);
                ports.identify(unused, tasks);
            }
            Task::ReadFiles => ports.node_facts(tasks),
            Task::QueryInterfaces(instance) => {
                self.status.reads.started(System::Ec2);
                ports.interfaces(instance, tasks);
            }
            Task::QueryVolumes(instance) => {
                self.status.reads.started(System::Ec2Volumes);
                let lacked = self.shared_status.lacked_volumes();
                ports.attachments((instance, lacked), tasks);
            }
            Task::QueryTypeLimits(name) => {
                self.status.reads.started(System::Ec2Types);
                ports.type_limits(name, tasks);
            }
            Task::QueryReservations(subnets) => {
                self.status.reads.started(System::Ec2Reservations);
                ports.reservations(subnets, tasks);
            }
            Task::QueryClaims(addresses) => ports.query_claims(addresses, tasks),
            Task::CheckOrphans(found, begun) => ports.check_orphans(found, begun, tasks),
            Task::Adopt(orphan, own) => ports.adopt(orphan, own, tasks),
            Task::Investigate(lost) => ports.investigate(lost, tasks),
            Task::Raise(eni) => ports.raise(eni, tasks),
            Task::Interface(step) => ports.interface_step(self.node.clone(), step, tasks),
            Task::Execute(operation, address, member) => {
                let context = (self.cluster.clone(), self.end.child_token());
                ports.begin(operation, (address, member), context, tasks);
            }
        }
    }
}
