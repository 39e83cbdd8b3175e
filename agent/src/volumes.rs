//! Observes the volumes of this node beside the loop, so that a hanging volume delays nothing else.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use firecamp_core::failure::RegistryFailure;
use firecamp_core::time::Moment;
use firecamp_host::volumes::{NodeVolumes, Places};
use firecamp_node::volumes::intervals::{EARLIER_WITHIN, NODE_EVERY, NODE_PAUSE, Pace};
use firecamp_node::volumes::observation::{ClusterView, Observation};
use firecamp_node::volumes::path::KUBELET;
use firecamp_node::volumes::{Change, Table, Tracker, VolumeKind, VolumesFailure, observe};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::publish::SharedStatus;
use crate::status::{Problems, Status, System, Volumes};

/// Timeout of `statfs`, after which a filesystem counts as not responding.
const WITHIN: Duration = Duration::from_secs(2);

/// Kubernetes' view of the volumes of this node.
pub(crate) trait Cluster {
    /// Reads the view.
    fn view(&self) -> impl Future<Output = Result<ClusterView, RegistryFailure>>;
}

/// Opens the node's volumes and observes them until `end`.
pub(crate) async fn follow<C: Cluster>(
    cluster: Option<&C>,
    shared_status: &SharedStatus,
    status: &Status,
    end: &CancellationToken,
) {
    match NodeVolumes::open(Places::default(), WITHIN) {
        Ok(volumes) => run((&volumes, cluster), shared_status, status, end).await,
        Err(why) => {
            tracing::error!(error = %why, "failed to observe volumes of this node");
            status.read(System::Volumes, &Err::<(), _>(why));
        }
    }
}

/// Observes until `end`. `cluster` is none without Kubernetes.
pub(crate) async fn run<V: firecamp_node::volumes::Volumes, C: Cluster>(
    (volumes, cluster): (&V, Option<&C>),
    shared_status: &SharedStatus,
    status: &Status,
    end: &CancellationToken,
) {
    let all = async {
        let tracker = begin(shared_status, cluster.is_some()).await;
        let (origin, pace) = (Instant::now(), Pace::default());
        let mut it = VolumeLoop { volumes, cluster, tracker, origin, pace };
        loop {
            it.observe(shared_status, status).await;
            it.wait().await;
        }
    };
    tokio::select! {
        () = end.cancelled() => {}
        () = all => {}
    }
}

/// Continues from the published status, so that a restart does not change it.
async fn begin(shared_status: &SharedStatus, online: bool) -> Tracker {
    let began = Instant::now();
    while online && began.elapsed() < EARLIER_WITHIN {
        if let Some(earlier) = shared_status.earlier() {
            return Tracker::resume(KUBELET, &earlier);
        }
        sleep(NODE_PAUSE).await;
    }
    Tracker::new(KUBELET)
}

struct VolumeLoop<'a, V, C> {
    volumes: &'a V,
    cluster: Option<&'a C>,
    tracker: Tracker,
    origin: Instant,
    pace: Pace,
}

impl<V: firecamp_node::volumes::Volumes, C: Cluster> VolumeLoop<'_, V, C> {
    async fn observe(&mut self, shared_status: &SharedStatus, status: &Status) {
        status.read_started(System::Volumes);
        let (node, failures) = observe(self.volumes, KUBELET).await;
        let read = failures.first().map_or(Ok(()), Err);
        status.read(System::Volumes, &read);
        let cloud = shared_status.take_cloud();
        let cluster = self.read_cluster(cloud.is_some(), status).await;
        let seen = Observation { cloud, node, cluster };
        let now = self.now();
        let table = self.tracker.step(now, seen);
        count(&table, &self.tracker, now, status);
        shared_status.volumes(table, self.tracker.pods().map(<[_]>::to_vec));
        shared_status.set_suspects(self.tracker.is_pending());
        shared_status.set_lacked_volumes(self.tracker.lacked());
    }

    fn now(&self) -> Moment {
        Moment(self.origin.elapsed())
    }

    async fn read_cluster(&mut self, cloud: bool, status: &Status) -> Option<ClusterView> {
        let cluster = self.cluster?;
        let (now, suspects) = (self.now(), self.tracker.is_pending());
        if !self.pace.asks_cluster(now, suspects, cloud) {
            return None;
        }
        status.read_started(System::Claims);
        let read = cluster.view().await;
        status.read(System::Claims, &read);
        self.pace.answered(read.is_ok());
        read.ok()
    }

    async fn wait(&mut self) {
        match self.volumes.changed(NODE_EVERY).await {
            Ok(Change::Nothing) => return,
            Ok(Change::Mounts | Change::Devices) => self.pace.moved(),
            Err(VolumesFailure { detail, .. }) => {
                tracing::warn!(error = detail, "failed to watch volumes");
                sleep(NODE_EVERY).await;
            }
        }
        sleep(NODE_PAUSE).await;
    }
}

fn count(table: &Table, tracker: &Tracker, now: Moment, status: &Status) {
    let mut kinds: BTreeMap<&'static str, i64> = BTreeMap::new();
    let mut problems: BTreeMap<&'static str, i64> = BTreeMap::new();
    for row in &table.volumes {
        *kinds.entry(name(row.kind)).or_default() += 1;
        for problem in &row.problems {
            *problems.entry(problem.reason.name()).or_default() += 1;
        }
    }
    status.volumes.clear();
    for (kind, count) in kinds {
        status.volumes.get_or_create(&Volumes { kind }).set(count);
    }
    status.volume_problems.clear();
    for (reason, count) in problems {
        status.volume_problems.get_or_create(&Problems { reason }).set(count);
    }
    let mut last_reads: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (_, reason, lasted) in tracker.lasting(now) {
        let oldest = last_reads.entry(reason.name()).or_default();
        *oldest = (*oldest).max(lasted.as_secs());
    }
    status.volume_ages.clear();
    for (reason, seconds) in last_reads {
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        status.volume_ages.get_or_create(&Problems { reason }).set(seconds);
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
