//! Observes the volumes of this node: the outside of [`VolumesController`], which makes all
//! decisions. A hanging volume delays no other controller.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::rc::Rc;
use std::time::Duration;

use firecamp_controllers::volumes::{Effect, Event, NodeRead, VolumesController, VolumesReport};
use firecamp_core::failure::RegistryFailure;
use firecamp_host::volumes::{NodeVolumes, Places};
use firecamp_node::volumes::intervals::NODE_EVERY;
use firecamp_node::volumes::observation::ClusterView;
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::{VolumeKind, VolumesFailure, observe};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::publish::SharedStatus;
use crate::runner::{self, Driver};
use crate::status::{Problems, Status, System, Volumes};

/// Timeout of `statfs`, after which a filesystem counts as not responding.
const WITHIN: Duration = Duration::from_secs(2);

/// Kubernetes' view of the volumes of this node.
pub(crate) trait Cluster: 'static {
    /// Reads the view.
    fn view(&self) -> impl Future<Output = Result<ClusterView, RegistryFailure>>;
}

/// Opens the node's volumes and observes them until `end`.
pub(crate) async fn follow<C: Cluster>(
    cluster: Option<Rc<C>>,
    shared_status: &SharedStatus,
    status: &Status,
    end: &CancellationToken,
) {
    match NodeVolumes::open(Places::default(), WITHIN) {
        Ok(volumes) => run((Rc::new(volumes), cluster), shared_status, status, end).await,
        Err(why) => {
            tracing::error!(error = %why, "failed to observe volumes of this node");
            status.reads.ended(System::Volumes, &Err::<(), _>(why));
        }
    }
}

/// Observes until `end`. `cluster` is none without Kubernetes.
pub(crate) async fn run<V: firecamp_node::volumes::Volumes + 'static, C: Cluster>(
    (volumes, cluster): (Rc<V>, Option<Rc<C>>),
    shared_status: &SharedStatus,
    status: &Status,
    end: &CancellationToken,
) {
    let controller = VolumesController::new(cluster.is_some());
    let outside = Outside { volumes, cluster, shared_status, status };
    let Ok(()) = runner::run(controller, outside, end).await;
}

/// The outside of the controller.
struct Outside<'a, V, C> {
    volumes: Rc<V>,
    cluster: Option<Rc<C>>,
    shared_status: &'a SharedStatus,
    status: &'a Status,
}

impl<V, C> Driver<VolumesController> for Outside<'_, V, C>
where
    V: firecamp_node::volumes::Volumes + 'static,
    C: Cluster,
{
    type Failure = Infallible;

    /// The wait for a change is a task.
    async fn changed(&mut self) -> Result<Event, Infallible> {
        pending().await
    }

    fn tick(&mut self) -> Event {
        Event::Tick(self.shared_status.published())
    }

    async fn perform(&mut self, effect: Effect, tasks: &mut JoinSet<Event>) -> Option<Event> {
        match effect {
            Effect::ReadNode => self.read_node(tasks),
            Effect::ReadCluster => self.read_cluster(tasks),
            Effect::AwaitChange => {
                let volumes = Rc::clone(&self.volumes);
                tasks.spawn_local(async move { Event::Changed(volumes.changed(NODE_EVERY).await) });
            }
            Effect::Report(report) => {
                count(&report, self.status);
                self.shared_status.volumes(report);
            }
        }
        None
    }

    fn task_ended(&self, event: &Event) {
        match event {
            Event::NodeRead(NodeRead { failure, .. }) => {
                let read = failure.as_ref().map_or(Ok(()), Err);
                self.status.reads.ended(System::Volumes, &read);
            }
            Event::ClusterRead(read) => self.status.reads.ended(System::Claims, read),
            Event::Changed(Err(VolumesFailure { detail, .. })) => {
                tracing::warn!(error = detail, "failed to watch volumes");
            }
            Event::Tick(_) | Event::Changed(Ok(_)) => {}
        }
    }
}

impl<V: firecamp_node::volumes::Volumes + 'static, C: Cluster> Outside<'_, V, C> {
    fn read_node(&self, tasks: &mut JoinSet<Event>) {
        self.status.reads.started(System::Volumes);
        let (volumes, shared_status) = (Rc::clone(&self.volumes), self.shared_status.clone());
        tasks.spawn_local(async move {
            let (node, failures) = observe(&*volumes, KUBELET).await;
            let (failure, cloud) = (failures.into_iter().next(), shared_status.take_cloud());
            Event::NodeRead(NodeRead { node, failure, cloud })
        });
    }

    fn read_cluster(&self, tasks: &mut JoinSet<Event>) {
        let Some(cluster) = self.cluster.clone() else { return };
        self.status.reads.started(System::Claims);
        tasks.spawn_local(async move { Event::ClusterRead(cluster.view().await) });
    }
}

fn count(report: &VolumesReport, status: &Status) {
    let mut kinds: BTreeMap<&'static str, i64> = BTreeMap::new();
    let mut problems: BTreeMap<&'static str, i64> = BTreeMap::new();
    for row in &report.table.volumes {
        *kinds.entry(name(row.kind)).or_default() += 1;
        for problem in &row.problems {
            *problems.entry(problem.reason.name()).or_default() += 1;
        }
    }
    status.volumes.counts.clear();
    for (kind, count) in kinds {
        status.volumes.counts.get_or_create(&Volumes { kind }).set(count);
    }
    status.volumes.problems.clear();
    for (reason, count) in problems {
        status.volumes.problems.get_or_create(&Problems { reason }).set(count);
    }
    status.volumes.ages.clear();
    for (reason, age) in &report.ages {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        status.volumes.ages.get_or_create(&Problems { reason: reason.name() }).set(seconds);
    }
}

fn name(kind: VolumeKind) -> &'static str {
    match kind {
        VolumeKind::Ebs => "Ebs",
        VolumeKind::InstanceStore => "InstanceStore",
        VolumeKind::Iscsi => "Iscsi",
        VolumeKind::Nfs => "Nfs",
        VolumeKind::Glusterfs => "Glusterfs",
        VolumeKind::Local => "Local",
        VolumeKind::Other => "Other",
    }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
